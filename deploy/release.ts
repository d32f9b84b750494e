/** What an image stack hands over: its outputs, checked. */
export interface Release {
  /** `repository:tag@sha256:...`, the image to run. */
  imageRef: string;
  digest: string;
  tags: string[];
  variant: "cpu" | "gpu";
  version: string;
  /** Commit of the application. */
  revision: string;
  torchIndexUrl: string;
  labels: Record<string, string>;
  healthcheck: Healthcheck;
  models: Record<string, ModelFile>;
}

export interface Healthcheck {
  path: string;
  port: number;
  /** Durations such as "30s". */
  interval: string;
  timeout: string;
  startPeriod: string;
  retries: number;
}

export interface ModelFile {
  file: string;
  url: string;
  sha256: string;
  sizeBytes: number;
}

/** Outputs that cannot be deployed. Says all that is wrong with them, one sentence each. */
export class ReleaseError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ReleaseError";
    this.problems = problems;
  }
}

/**
 * Checks a stack's outputs. A deploy stack hands on what it has proven as one output, `release`.
 *
 * @param stack name of the stack, for messages
 * @throws ReleaseError
 */
export function parseRelease(outputs: Readonly<Record<string, unknown>>, stack: string): Release {
  const given = isRecord(outputs.release) ? outputs.release : outputs;
  const absent = Object.keys(shape).filter((key) => given[key] === undefined);
  if (absent.length > 0) {
    const all = absent.length === Object.keys(shape).length;
    throw new ReleaseError([
      all
        ? `The stack ${stack} has none of the outputs of a Facecraft image stack. Is it one, and has \`pulumi up\` succeeded there?`
        : `The stack ${stack} has no output ${absent.join(", ")}: it was last updated by another version of the image program. Run \`pulumi up\` there.`,
    ]);
  }
  const problems = Object.entries(shape).flatMap(([key, check]) => check(given[key], key));
  const { imageRef, digest } = given;
  if (imageRef === "" && digest === "") {
    problems.splice(
      0,
      Infinity,
      `it has published nothing (facecraft:push is false). Publish a release, then deploy it`,
    );
  } else if (typeof imageRef === "string" && !imageRef.endsWith(`@${digest}`)) {
    problems.push(
      `imageRef "${imageRef}" must end in @${digest}, its digest: a tag alone can come to mean another image`,
    );
  }
  if (problems.length > 0) {
    throw new ReleaseError(problems.map((problem) => `The stack ${stack} cannot be deployed: ${problem}.`));
  }
  return Object.fromEntries(Object.keys(shape).map((key) => [key, given[key]])) as unknown as Release;
}

/**
 * Another release of the same repository, to go back to. Its version is read from its tag; what only its own stack outputs
 * would tell (models, labels) is left empty.
 */
export function asImage(release: Release, imageRef: string): Release {
  const [name = "", digest = ""] = imageRef.split("@");
  const version = new RegExp(`:(.+)-${release.variant}-[0-9a-f]+$`).exec(name)?.[1];
  if (!version || repositoryOf(name) !== repositoryOf(release.imageRef.split("@")[0] ?? "")) {
    const wanted = `${repositoryOf(release.imageRef.split("@")[0] ?? "")}:<version>-${release.variant}-<suffix>@sha256:<digest>`;
    throw new ReleaseError([
      `facecraft-deploy:imageRef is "${imageRef}", which is no release of this image; it must be ${wanted}.`,
    ]);
  }
  return { ...release, imageRef, digest, version, revision: "unknown", tags: [name], labels: {}, models: {} };
}

function repositoryOf(name: string): string {
  return name.replace(/:[^:/]+$/, "");
}

/** How long an image may take until its health check passes, in seconds. */
export function secondsToReady({ interval, timeout, startPeriod, retries }: Healthcheck): number {
  return Math.ceil(seconds(startPeriod) + retries * (seconds(interval) + seconds(timeout)));
}

export function seconds(duration: string): number {
  const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  return [...duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (units[unit as string] as number),
    0,
  );
}

type Check = (value: unknown, key: string) => string[];

const matches =
  (pattern: RegExp, right: string): Check =>
  (value, key) =>
    typeof value === "string" && pattern.test(value) ? [] : [`${key} is ${shown(value)}, but it must be ${right}`];

const aDuration = matches(/^(\d+(\.\d+)?(ms|s|m|h))+$/, "a duration such as 30s");
const aString = matches(/\S/, "a string");
const aNumber: Check = (value, key) =>
  typeof value === "number" && value > 0 ? [] : [`${key} is ${shown(value)}, but it must be a number above 0`];

const aRecordOf =
  (checks: Record<string, Check>): Check =>
  (value, key) =>
    isRecord(value)
      ? Object.entries(checks).flatMap(([name, check]) => check(value[name], `${key}.${name}`))
      : [`${key} is ${shown(value)}, but it must be an object`];

const everyValue =
  (check: Check): Check =>
  (value, key) =>
    isRecord(value)
      ? Object.entries(value).flatMap(([name, item]) => check(item, `${key}.${name}`))
      : [`${key} is ${shown(value)}, but it must be an object`];

const shape: Record<keyof Release, Check> = {
  imageRef: matches(/^\S+@sha256:[0-9a-f]{64}$/, "pinned by digest (repository:tag@sha256:<64 hex digits>)"),
  digest: matches(/^sha256:[0-9a-f]{64}$/, "sha256:<64 hex digits>"),
  tags: (value, key) => (Array.isArray(value) ? [] : [`${key} is ${shown(value)}, but it must be a list`]),
  variant: matches(/^(cpu|gpu)$/, "cpu or gpu"),
  version: aString,
  revision: aString,
  torchIndexUrl: aString,
  labels: everyValue(aString),
  healthcheck: aRecordOf({
    path: matches(/^\//, "a path such as /ready"),
    port: aNumber,
    interval: aDuration,
    timeout: aDuration,
    startPeriod: aDuration,
    retries: aNumber,
  }),
  models: everyValue(aRecordOf({ file: aString, url: aString, sha256: aString, sizeBytes: aNumber })),
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return value === undefined ? "not there" : (JSON.stringify(value) ?? String(value));
}
