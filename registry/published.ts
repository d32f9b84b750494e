import { type Healthcheck, healthcheckProbe, nanoseconds } from "./healthcheck.ts";
import { type ImageConfig, platformOf, readConfig } from "./imageConfig.ts";
import type { Credentials } from "./login.ts";
import { everyPlatform } from "./platforms.ts";
import { type ProofRecord, type Proven, readProven } from "./record.ts";
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
  proof: ExpectedProof;
}

/** What the proof of an image must have shown. */
export interface ExpectedProof {
  /** Whether the application was to be started. */
  boots: boolean;
  /** Paths of the models that it must not have opened; all others it must. */
  unusedModels: string[];
  network: "refused" | "allowed";
  environment: Record<string, string>;
  /** Whether it must have been proven on a GPU. */
  onGpu: boolean;
}

/** The image of one platform, as the registry has it. */
export interface PublishedImage extends Proven {
  digest: string;
  config: ImageConfig;
}

/**
 * Compares the image in the registry with what was asked for: what it is, and what its proof wrote down.
 *
 * @returns the differences, one sentence each, and the images, one for each platform
 */
export async function comparePublished(
  expected: Expectation,
  credentials?: Credentials,
): Promise<{ differences: string[]; images: PublishedImage[] }> {
  const repository = new Repository(expected.repository, credentials);
  const differences: string[] = [];
  for (const tag of expected.tags) {
    const { digest } = await repository.manifest(tag);
    if (digest !== expected.digest) {
      differences.push(`${expected.repository}:${tag} is ${digest}, but ${expected.digest} was pushed.`);
    }
  }
  const images = await readImages(repository, expected);
  differences.push(
    ...comparePlatforms(
      expected,
      images.map(({ config }) => platformOf(config)),
    ),
  );
  for (const { config, record } of images) {
    differences.push(
      ...compareConfig(expected, config),
      ...compareModels(expected, record),
      ...compareArchitecture(platformOf(config), record),
      ...compareProof(expected, record),
    );
  }
  return { differences, images };
}

/** Reads configuration, record and measurements of each platform's image, each once. */
async function readImages(repository: Repository, expected: Expectation): Promise<PublishedImage[]> {
  const found = await everyPlatform(repository, expected.digest);
  return Promise.all(
    found.map(async (image) => {
      const name = `${expected.repository}@${image.digest}`;
      const [config, proven] = await Promise.all([readConfig(repository, image), readProven(repository, image, name)]);
      return { digest: image.digest, config, ...proven };
    }),
  );
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

/** Compares what the proof wrote down about the application at work with what was asked of it. */
export function compareProof(
  { models, proof }: Pick<Expectation, "models" | "proof">,
  { boot, portrait, modelsOpened = [], unusedModels = [], network, environment = {}, gpu = null }: ProofRecord,
): string[] {
  const works = proof.boots ? "passed" : "off";
  const [unused, opened] = [proof.unusedModels.toSorted(), modelsOpened.toSorted()];
  const used = Object.keys(models)
    .filter((file) => !unused.includes(file))
    .sort();
  // Where asking is allowed, either is right.
  const asking = proof.network === "allowed" && network === "asked" ? "asked" : "silent";
  const facts: [string, unknown, unknown][] = [
    ["boot", boot, works],
    ["portrait", portrait, works],
    ["network", network, proof.boots ? asking : "off"],
    ...(proof.boots
      ? ([
          ["list of opened models", opened, used],
          ["list of unused models", unusedModels.toSorted(), unused],
          ["environment", sorted(environment), sorted(proof.environment)],
        ] as [string, unknown, unknown][])
      : []),
  ];
  return [
    ...facts
      .filter(([, is, wanted]) => JSON.stringify(is) !== JSON.stringify(wanted))
      .map(
        ([what, is, wanted]) =>
          `The ${what} in the image's record of its proof is ${JSON.stringify(is) ?? "not there"}, but ${JSON.stringify(wanted)} was asked for.`,
      ),
    ...(proof.onGpu && gpu === null
      ? ["The image's record of its proof names no GPU, but it was to be proven on one."]
      : []),
  ];
}

function sorted(values: Record<string, string>): [string, string][] {
  return Object.entries(values).sort();
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
