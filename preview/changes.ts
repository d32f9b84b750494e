import { redactUrl } from "../artifacts/redact.ts";
import { models } from "../components/models.ts";
import { variantNames, variants } from "../components/variants.ts";
import { secret, unknown } from "../policy/image.ts";
import type { Plan, Step } from "./events.ts";

/** A difference between the last release and this one, as a reviewer would say it. */
export interface Change {
  what: string;
  from?: string;
  to?: string;
}

const imageType = "docker-build:index:Image";

/** The image that is pushed, or, where the preview did not get so far, the proof that stands for it. */
export function releaseStep(plan: Plan): Step | undefined {
  const images = plan.steps.filter(({ type }) => type === imageType);
  return images.find(({ name }) => name.endsWith("-release")) ?? images[0];
}

/** Says what a preview would change, and why, from the inputs of the images and the models. */
export function describeChanges(plan: Plan): Change[] {
  const release = releaseStep(plan);
  const [before, after] = [release?.before?.inputs, release?.after?.inputs];
  if (!release || release.op === "same" || !after || !before) {
    return [];
  }
  const args = compare(record(before.buildArgs), record(after.buildArgs))
    .filter(({ what }) => what !== implied || revisionOf(before) === revisionOf(after))
    .map(nameArg);
  const labels = compare(record(before.labels), record(after.labels))
    .filter(({ what }) => !/base\.(name|digest)$/.test(what)) // told by the build arg
    .map(nameLabel);
  const other = [
    ...compare({ Dockerfile: record(before.dockerfile).location }, { Dockerfile: record(after.dockerfile).location }),
    ...compare({ platforms: list(before.platforms) }, { platforms: list(after.platforms) }),
    ...compare({ export: list(before.exports) }, { export: list(after.exports) }),
  ];
  const app = appOf(before) !== appOf(after);
  const told = labels.some(({ what }) => what === "source revision");
  return [
    ...labels,
    ...(app && !told ? [{ what: "application", from: appOf(before), to: appOf(after) }] : []),
    ...args,
    ...other,
    ...(release.diffs.includes("contextHash") && !app
      ? [{ what: `${record(after.dockerfile).location}, or a file beside it`, to: "changed" }]
      : []),
  ];
}

/** The tags that an update would write. */
export function plannedTags(plan: Plan): string[] {
  const inputs = releaseStep(plan)?.after?.inputs;
  const version = String(record(inputs?.labels)["org.opencontainers.image.version"] ?? "").replace("+", "_");
  const tags = list(inputs?.tags);
  const moving = tags.find((tag) => typeof tag === "string") as string | undefined;
  return tags.map((tag) =>
    tag === unknown && moving
      ? `${moving.replace(/:[^:/]+$/, "")}:${version}-${moving.split(":").at(-1)}-<suffix chosen by the update>`
      : show(tag),
  );
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
  const key = change.what.replace("org.opencontainers.image.", "");
  return { ...change, what: key === "revision" ? "source revision" : key === "version" ? key : `label ${key}` };
}

function revisionOf(inputs: Readonly<Record<string, unknown>>): string {
  return show(record(inputs.labels)["org.opencontainers.image.revision"]);
}

function appOf(inputs: Readonly<Record<string, unknown>>): string {
  return show(record(record(record(inputs.context).named).app).location);
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

export function record(of: unknown): Record<string, unknown> {
  return typeof of === "object" && of !== null ? (of as Record<string, unknown>) : {};
}

function list(of: unknown): unknown[] {
  return Array.isArray(of) ? of : of === undefined ? [] : [of];
}
