import type { Healthcheck } from "./dockerfile.ts";
import { type Credentials, Repository } from "./registry.ts";

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
}

interface ImageConfig {
  config: {
    User?: string;
    Labels?: Record<string, string>;
    Healthcheck?: { Test?: string[]; Interval?: number; Timeout?: number; StartPeriod?: number; Retries?: number };
  };
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
  const { manifest } = await repository.manifest(expected.digest);
  // Entries without a real platform are attestations.
  const platforms = manifest.manifests?.filter((entry) => entry.platform?.os !== "unknown");
  const images = platforms
    ? await Promise.all(platforms.map(async (entry) => (await repository.manifest(entry.digest)).manifest))
    : [manifest];
  for (const image of images) {
    const config = JSON.parse((await repository.blob(image.config?.digest ?? "")).toString()) as ImageConfig;
    differences.push(...compareConfig(expected, config));
  }
  return differences;
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
  const { Labels = {}, User, Healthcheck: found = {} } = image.config;
  const { interval, timeout, startPeriod, retries, path } = expected.healthcheck;
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
    ["health check path", found.Test?.join(" ").includes(path) ? path : found.Test?.join(" "), path],
  ];
  return pairs
    .filter(([, is, wanted]) => is !== wanted)
    .map(
      ([what, is, wanted]) =>
        `The image's ${what} is ${JSON.stringify(is) ?? "not set"}, but ${JSON.stringify(wanted)} was asked for.`,
    );
}

/** Docker keeps durations in nanoseconds. */
function nanoseconds(duration: string): number {
  const units: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
  return [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (units[unit as string] as number),
    0,
  );
}
