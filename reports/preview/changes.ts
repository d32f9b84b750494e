import { redactUrl } from "../../artifacts/redact.ts";
import { models } from "../../plan/models.ts";
import { label, tagStem } from "../../plan/naming.ts";
import { variantNames, variants } from "../../plan/variants.ts";
import { secret, unknown } from "../../policy/image.ts";
import { splitReference } from "../../registry/references.ts";
import type { Plan, Step } from "./events.ts";

/** A difference between the last release and this one, as a reviewer would say it. */
export interface Change {
  what: string;
  from?: string;
  to?: string;
}

export const imageType = "docker-build:index:Image";

/** The image that is pushed, or, where the preview did not get so far, the proof that stands for it. */
export function releaseStep(plan: Plan): Step | undefined {
  const images = plan.steps.filter(({ type }) => type === imageType);
  return images.find(({ name }) => name.endsWith("-release")) ?? images[0];
}

/** A provider is no part of a release: it counts as changed whenever the stack's config is. */
export function isProvider({ type }: Step): boolean {
  return type.startsWith("pulumi:providers:");
}

export function isChange(step: Step): boolean {
  return !["same", "read"].includes(step.op) && !isProvider(step);
}

/** The release that a refresh no longer found in the registry: to the plan, the next one looks like the first. */
export function goneRelease(plan: Plan): Step | undefined {
  const release = releaseStep(plan);
  return plan.refreshed.find(({ urn, after }) => urn === release?.urn && after === undefined);
}

/** Says what a preview would change, and why, from the inputs of the images and the models. */
export function describeChanges(plan: Plan): Change[] {
  const release = releaseStep(plan);
  const before = (release?.before ?? goneRelease(plan)?.before)?.inputs;
  const after = release?.after?.inputs;
  if (!release || release.op === "same" || !after || !before) {
    return [];
  }
  const args = compare(fields(before.buildArgs), fields(after.buildArgs))
    .filter(({ what }) => what !== implied || revisionOf(before) === revisionOf(after))
    .map(nameArg);
  const labels = compare(fields(before.labels), fields(after.labels))
    .filter(({ what }) => !/base\.(name|digest)$/.test(what)) // listed with the build arg
    .map(nameLabel);
  const other = [
    ...compare({ Dockerfile: fields(before.dockerfile).location }, { Dockerfile: fields(after.dockerfile).location }),
    ...compare(
      { "scripts of the Dockerfiles": contextOf(before, "scripts") },
      { "scripts of the Dockerfiles": contextOf(after, "scripts") },
    ),
    ...compare({ platforms: list(before.platforms) }, { platforms: list(after.platforms) }),
    ...compare({ export: list(before.exports) }, { export: list(after.exports) }),
  ];
  const app = appOf(before) !== appOf(after);
  const revisionIsListed = labels.some(({ what }) => what === "source revision");
  return [
    ...labels,
    ...(app && !revisionIsListed ? [{ what: "application", from: appOf(before), to: appOf(after) }] : []),
    ...args,
    ...other,
    ...(release.diffs.includes("contextHash") && !app
      ? [{ what: `${fields(after.dockerfile).location}, or a file beside it`, to: "changed" }]
      : []),
  ];
}

/** The tags that an update would write. */
export function plannedTags(plan: Plan): string[] {
  const inputs = releaseStep(plan)?.after?.inputs;
  const version = String(fields(inputs?.labels)[label("version")] ?? "");
  const tags = list(inputs?.tags);
  const moving = tags.find((tag) => typeof tag === "string") as string | undefined;
  const { repository = "", tag: variant = "" } = moving ? splitReference(moving) : {};
  const immutable = `${repository}:${tagStem({ version, variant })}-<suffix chosen by the update>`;
  return tags.map((tag) => (tag === unknown && moving ? immutable : show(tag)));
}

function compare(before: Record<string, unknown>, after: Record<string, unknown>): Change[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => show(before[key]) !== show(after[key]))
    .map((key) => ({
      what: key,
      ...(before[key] !== undefined && { from: show(before[key]) }),
      ...(after[key] !== undefined && { to: show(after[key]) }),
    }));
}

const argNames = {
  SOURCE_DATE_EPOCH: "time of the source's commit",
  CONSTRAINTS: "constraints of the packages",
  SMOKE_TEST: "smoke test",
  UNUSED_MODELS: "models that need not be opened",
  PROOF_NETWORK: "network in the proof",
  PROOF_ENVIRONMENT: "environment of the proof",
  GPU_PROOF: "proof on a GPU",
  GPU_IDENTITY: "GPU of the proof",
};

/** Follows from the source revision, and says nothing more. */
const implied = "SOURCE_DATE_EPOCH";

function nameArg(change: Change): Change {
  const model = Object.values(models).find(({ arg }) => change.what.startsWith(`${arg}_`));
  const base = variantNames.some((name) => (Object.values(variants[name].bases) as string[]).includes(change.what));
  if (model) {
    const kind = change.what.slice(model.arg.length + 1);
    const kinds: Record<string, string> = {
      SHA256: "pin of",
      URL: "URL of",
      DOWNLOAD_SHA256: "pin of the download of",
    };
    return { ...change, what: `${kinds[kind] ?? `${kind} of`} ${model.title}` };
  }
  const names: Record<string, string> = { TORCH_INDEX_URL: "torch index", PIP_INDEX_URL: "package index", ...argNames };
  return { ...change, what: base ? `base image (${change.what})` : (names[change.what] ?? `build arg ${change.what}`) };
}

function nameLabel(change: Change): Change {
  const key = change.what.replace(label(""), "");
  return { ...change, what: key === "revision" ? "source revision" : key === "version" ? key : `label ${key}` };
}

function revisionOf(inputs: Readonly<Record<string, unknown>>): string {
  return show(fields(inputs.labels)[label("revision")]);
}

function appOf(inputs: Readonly<Record<string, unknown>>): string {
  return show(contextOf(inputs, "app"));
}

function contextOf(inputs: Readonly<Record<string, unknown>>, name: string): unknown {
  return fields(fields(fields(inputs.context).named)[name]).location;
}

/** A value as it may be shown; what is a secret stays one. */
export function show(value: unknown): string {
  if (value === unknown) {
    return "(known after the update)";
  }
  if (value === secret) {
    return "(secret)";
  }
  if (typeof value === "string") {
    // The commit of a git URL is what it is about.
    const commit = /#[0-9a-f]{40}.*$/.exec(value)?.[0] ?? "";
    return /^[a-z]+:\/\//.test(value) ? redactUrl(value) + commit : value;
  }
  return JSON.stringify(value, (_, item) => (typeof item === "symbol" ? show(item) : item)) ?? "";
}

/** The fields of an object, or none. */
export function fields(of: unknown): Record<string, unknown> {
  return typeof of === "object" && of !== null ? (of as Record<string, unknown>) : {};
}

function list(of: unknown): unknown[] {
  return Array.isArray(of) ? of : of === undefined ? [] : [of];
}
