import { type Healthcheck, healthcheckProbe, nanoseconds } from "./healthcheck.ts";
import { type ImageConfig, readConfig } from "./imageConfig.ts";
import type { Credentials } from "./login.ts";
import { everyPlatform } from "./platforms.ts";
import { type ProofRecord, readRecord } from "./record.ts";
import { Repository } from "./repository.ts";

/** What a published image must be. */
export interface Expectation {
  repository: string;
  /** Tags, without the repository, that must lead to the digest. */
  tags: string[];
  digest: string;
  labels: Record<string, string>;
  /** Pin of each model by its path in the image. */
  models: Record<string, string>;
  healthcheck: Healthcheck;
  /** Numeric, so that an orchestrator can tell that it is not root. */
  user: string;
  /** `os/architecture` of each image that was asked for. */
  platforms: string[];
}

/** Compares the image in the registry with what was asked for; returns the differences, one sentence each. */
export async function comparePublished(expected: Expectation, credentials?: Credentials): Promise<string[]> {
  const repository = new Repository(expected.repository, credentials);
  const differences: string[] = [];
  for (const tag of expected.tags) {
    const { digest } = await repository.manifest(tag);
    if (digest !== expected.digest) {
      differences.push(`${expected.repository}:${tag} is ${digest}, but ${expected.digest} was pushed.`);
    }
  }
  const configs = await Promise.all(
    (await everyPlatform(repository, expected.digest)).map((image) => readConfig(repository, image)),
  );
  differences.push(...comparePlatforms(expected, configs.map(platformOf)));
  for (const config of configs) {
    differences.push(...compareConfig(expected, config));
  }
  return differences;
}

/**
 * Compares what the proof of each platform's image wrote down, by looking at the image's own files, with what was asked for.
 */
export async function compareProven(
  expected: Pick<Expectation, "repository" | "digest" | "models">,
  credentials?: Credentials,
): Promise<string[]> {
  const repository = new Repository(expected.repository, credentials);
  const differences: string[] = [];
  for (const image of await everyPlatform(repository, expected.digest)) {
    const config = await readConfig(repository, image);
    const record = await readRecord(expected.repository, image.digest, credentials);
    differences.push(...compareModels(expected, record), ...compareArchitecture(platformOf(config), record));
  }
  return differences;
}

function comparePlatforms({ platforms }: Pick<Expectation, "platforms">, found: readonly string[]): string[] {
  const [is, wanted] = [found, platforms].map((names) => names.toSorted().join(", "));
  return is === wanted ? [] : [`The image is for ${is}, but ${wanted} was asked for.`];
}

/** Compares what the image's Python is built for with what the image says that it is for. */
export function compareArchitecture(platform: string, record: Pick<ProofRecord, "architecture">): string[] {
  const proven = record.architecture ?? "nothing that was recorded";
  return platform.split("/")[1] === proven
    ? []
    : [`The image says that it is for ${platform}, but its Python was proven to be built for ${proven}.`];
}

function platformOf({ os = "nothing", architecture = "nothing", variant }: ImageConfig): string {
  return [os, architecture, ...(variant ? [variant] : [])].join("/");
}

/** Compares what the proof wrote down about the models with the pins. */
export function compareModels(
  expected: Pick<Expectation, "models">,
  record: { models: Record<string, string> },
): string[] {
  return Object.entries(expected.models)
    .filter(([file, sha256]) => record.models[file] !== sha256)
    .map(
      ([file, sha256]) =>
        `${file} in the image was proven to be ${record.models[file] ?? "absent"}, but ${sha256} was asked for.`,
    );
}

export function compareConfig(
  expected: Pick<Expectation, "labels" | "healthcheck" | "user">,
  image: ImageConfig,
): string[] {
  const { Labels = {}, User, Env = [], ExposedPorts = {}, Healthcheck: found = {} } = image.config ?? {};
  const { interval, timeout, startPeriod, retries, path, port } = expected.healthcheck;
  const { command, pathVariable } = healthcheckProbe;
  const pairs: [string, unknown, unknown][] = [
    ...Object.entries(expected.labels).map(([key, value]): [string, unknown, unknown] => [
      `label ${key}`,
      Labels[key],
      value,
    ]),
    ["user", User, expected.user],
    ["health check interval", found.Interval, nanoseconds(interval)],
    ["health check timeout", found.Timeout, nanoseconds(timeout)],
    ["health check start period", found.StartPeriod, nanoseconds(startPeriod)],
    ["health check retries", found.Retries, retries],
    ["health check command", found.Test?.join(" "), ["CMD", ...command].join(" ")],
    ["health check path", variableOf(Env, pathVariable), path],
    ["port", Object.keys(ExposedPorts).join(" "), `${port}/tcp`],
  ];
  return pairs
    .filter(([, is, wanted]) => is !== wanted)
    .map(
      ([what, is, wanted]) =>
        `The image's ${what} is ${JSON.stringify(is) ?? "not set"}, but ${JSON.stringify(wanted)} was asked for.`,
    );
}

function variableOf(environment: readonly string[], name: string): string | undefined {
  return environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}
