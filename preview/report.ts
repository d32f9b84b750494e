import { models as knownModels, type ModelName, modelNames } from "../components/models.ts";
import { type VerifiedModel, value, viewImage } from "../policy/image.ts";
import { defaultRegistries, judge, rules } from "../policy/rules.ts";
import { type Change, describeChanges, plannedTags, record, releaseStep, show } from "./changes.ts";
import type { PackViolation, Plan, Problem, Step } from "./events.ts";

/** What a preview means for a reviewer. Written as JSON; a change of shape is a breaking change. */
export interface Report {
  stack: string;
  result: "unchanged" | "changed" | "failed";
  /** One sentence. */
  summary: string;
  /** Why there would be another image. */
  changes: Change[];
  /** What the engine would do, by kind. */
  resources: Record<string, number>;
  /** Tags that an update would write. */
  tags: string[];
  last: LastRelease;
  models: ModelRow[];
  policy: PolicyResult;
  problems: readonly Problem[];
}

export interface LastRelease {
  /** `repository:tag@digest`; absent when the stack has released nothing that this preview knows of. */
  imageRef?: string;
  /** Of what is pulled; absent when the registry did not say. */
  compressedBytes?: number;
  /** What the registry's moving tag says of itself, where there is no earlier state to compare with. */
  published?: { reference: string; revision?: string; version?: string };
  /** Why the registry could not be asked. */
  note?: string;
}

export interface ModelRow {
  name: ModelName;
  title: string;
  file: string;
  sha256: string;
  url: string;
  sizeBytes?: number;
  /** The pin of the last release, where that is another one. */
  before?: string;
  state: "unchanged" | "new" | "changed" | "drifted";
}

export interface PolicyResult {
  rules: number;
  /** How they were applied: as a policy pack by the engine, or to what the preview shows. */
  appliedBy: string;
  violations: PackViolation[];
}

/** Makes the report of a preview. @param last what is known of the last release, see lastRelease.ts */
export function makeReport(stack: string, plan: Plan, last: LastRelease, registries = defaultRegistries): Report {
  const policy = applyPolicy(plan, registries);
  const refused = policy.violations.some(({ mandatory }) => mandatory);
  const changed = plan.steps.some(({ op }) => op !== "same" && op !== "read" && op !== "refresh");
  const result = !plan.succeeded || refused ? "failed" : changed ? "changed" : "unchanged";
  const changes = describeChanges(plan);
  const report = {
    ...{ stack, result, changes, last, policy },
    resources: countOps(plan),
    tags: result === "unchanged" ? [] : plannedTags(plan),
    models: modelRows(plan),
    problems: plan.problems,
  } satisfies Omit<Report, "summary">;
  return { ...report, summary: summarize(report, releaseStep(plan)) };
}

function summarize(report: Omit<Report, "summary">, release: Step | undefined): string {
  const { result, last, changes, problems, policy } = report;
  const broken = [...new Set(policy.violations.filter(({ mandatory }) => mandatory).map(({ rule }) => rule))].join(
    ", ",
  );
  if (result === "failed") {
    const failed = [...new Set(problems.map(({ resource }) => resource))].join(", ");
    const sentences = [
      ...(failed ? [`This cannot be released: ${failed} failed.`] : []),
      ...(broken ? [`This may not be released: it breaks ${broken}.`] : []),
    ];
    return sentences.join(" ") || "This preview did not finish.";
  }
  if (result === "unchanged") {
    return `No change: ${last.imageRef ?? "the last release"} stays.`;
  }
  if (release === undefined || release.op === "same") {
    return "The image stays as it is; only what is around it changes.";
  }
  if (release.op === "create") {
    return "The image was built and proven; an update would publish the first release of this stack.";
  }
  const why = changes.map(({ what }) => what).join(", ");
  return `The image was built and proven; an update would publish another release${why ? ` (${why})` : ""}.`;
}

function countOps(plan: Plan): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of plan.steps) {
    counts[op] = (counts[op] ?? 0) + 1;
  }
  return counts;
}

function applyPolicy(plan: Plan, allowedRegistries: readonly string[]): PolicyResult {
  const verified: VerifiedModel[] = plan.steps
    .filter(isModel)
    .map(({ name, after }) => ({ name, sha256: value(after?.inputs.sha256) }));
  const seen = plan.steps
    .filter(({ type, op, after }) => type === "docker-build:index:Image" && op !== "delete" && after)
    .map(({ name, after }) => viewImage(name, after?.inputs ?? {}, after?.retainOnDelete))
    .flatMap((image) => judge(image, { verified, allowedRegistries }))
    .map(({ rule, image, message }) => ({ rule, resource: image, message, mandatory: true }));
  const key = ({ rule, resource, message }: PackViolation) => `${rule} ${resource} ${message}`;
  const all = new Map([...plan.violations, ...seen].map((violation) => [key(violation), violation]));
  const packs = plan.packs.map((pack) => pack.split("|")[0]).join(", ");
  return {
    rules: rules.length,
    appliedBy: packs
      ? `by the engine (policy pack ${packs}) and to the preview`
      : "to what the preview shows (no policy pack ran)",
    violations: [...all.values()],
  };
}

function isModel(step: Step): boolean {
  return step.type.endsWith(":ModelChecksum") && step.op !== "delete";
}

function modelRows(plan: Plan): ModelRow[] {
  const rows = plan.steps.filter(isModel).map(modelRow);
  return modelNames.flatMap((name) => rows.find((row) => row?.name === name) ?? []);
}

function modelRow({ name, op, before, after }: Step): ModelRow | undefined {
  const known = modelNames.find((model) => model === name);
  if (known === undefined || after === undefined) {
    return undefined;
  }
  const { sizeBytes, drift } = { ...before?.outputs, ...after.outputs };
  const sha256 = show(after.inputs.sha256);
  const old = before && show(before.inputs.sha256);
  const [url] = Array.isArray(after.inputs.urls) ? after.inputs.urls : [after.inputs.urls];
  return {
    name: known,
    ...{ title: knownModels[known].title, file: knownModels[known].file, sha256, url: show(url) },
    ...(typeof sizeBytes === "number" && (old === undefined || old === sha256) && { sizeBytes }),
    ...(old !== undefined && old !== sha256 && { before: old }),
    state:
      op === "create"
        ? "new"
        : typeof drift === "string" && drift
          ? "drifted"
          : op === "same"
            ? "unchanged"
            : "changed",
  };
}

/** The stack's outputs before this preview. */
export function outputsBefore(plan: Plan): Record<string, unknown> {
  return record(plan.steps.find(({ type }) => type === "pulumi:pulumi:Stack")?.before?.outputs);
}
