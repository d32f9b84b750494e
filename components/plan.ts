import { readFileSync } from "node:fs";
import { formatOf } from "../artifacts/decompress.ts";
import { urlFault } from "../artifacts/pins.ts";
import type { Config, ModelOverride, RegistryAuth } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import type { Dockerfile, Healthcheck } from "./dockerfile.ts";
import { forEachModel, models as knownModels, type ModelName, modelNames } from "./models.ts";
import type { Source } from "./source.ts";
import { type Variant, variants } from "./variants.ts";

/** All that decides a release, in plain values: what a preview shows and a build uses. */
export interface ReleasePlan {
  variant: Variant;
  version: string;
  revision: string;
  repository: string;
  dockerfile: string;
  torchIndexUrl: string;
  healthcheck: Healthcheck;
  /** Location of the application, the named build context `app`. */
  appContext: string;
  models: Record<ModelName, PlannedModel>;
  buildArgs: Record<string, string>;
  labels: Record<string, string>;
  platforms: string[];
  /** Publish the image; without it, it is built and proved only. */
  push: boolean;
  /** Name of a buildx builder. */
  builder?: string;
  /** Default: the user's own docker login. */
  registryAuth?: RegistryAuth;
  /** Where build layers are kept between machines. */
  cacheRepository?: string;
  /** Path of a PEM file, trusted by downloads while building. */
  caBundle?: string;
}

export interface PlannedModel {
  title: string;
  /** Absolute path in the image. */
  file: string;
  /** Mirrors, in the order to try them; the builder uses the first that is on the web. */
  urls: string[];
  /** Pin of the file in the image: 64 hex digits. */
  sha256: string;
  caBundle?: string;
}

function labelsOf(config: Config, source: Source, base: BaseImage): Record<string, string> {
  const labels = {
    source: "https://github.com/djok/facecraft",
    version: config.version,
    revision: source.revision,
    description: variants[config.variant].description,
    licenses: "MIT",
    title: "facecraft",
    vendor: "OBVT Toolbox",
    "base.name": base.name,
    "base.digest": base.digest,
  };
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [`org.opencontainers.image.${key}`, value]));
}

/**
 * Puts together what the stack asks for and what the Dockerfile pins.
 *
 * @throws ConfigError for a pin that is missing, short or empty in the Dockerfile.
 */
export function planRelease(config: Config, dockerfile: Dockerfile, source: Source): ReleasePlan {
  const variant = variants[config.variant];
  const torchIndexUrl = config.torchIndexUrl ?? variant.torch.index;
  const models = planModels(config, dockerfile);
  const bases = Object.fromEntries(
    Object.values(variant.bases).map((arg) => [arg, config.baseImages[arg] ?? dockerfile.args.get(arg) ?? ""]),
  );
  const { version, repository, platforms, push, builder, registryAuth, cacheRepository, caBundle } = config;
  return {
    ...{ variant: config.variant, version, repository, platforms, push },
    ...(builder && { builder }),
    ...(registryAuth && { registryAuth }),
    ...(cacheRepository && { cacheRepository }),
    ...(caBundle && { caBundle }),
    revision: source.revision,
    dockerfile: dockerfile.path,
    torchIndexUrl,
    healthcheck: dockerfile.healthcheck,
    appContext: source.context,
    models,
    buildArgs: {
      ...bases,
      TORCH_INDEX_URL: torchIndexUrl,
      ...(config.pipIndexUrl && { PIP_INDEX_URL: config.pipIndexUrl }),
      ...(config.constraints && { CONSTRAINTS: readFileSync(config.constraints, "utf8") }),
      ...(config.smokeTest ? {} : { SMOKE_TEST: "0" }),
      // The date of the image. Those of its files are settled in the Dockerfile: rewriting them on export would read and
      // compress every layer again for each commit.
      SOURCE_DATE_EPOCH: String(source.committedAt),
      ...Object.fromEntries(modelNames.flatMap((name) => modelArgs(name, models[name], config.models[name]))),
    },
    labels: labelsOf(config, source, parseBase(bases[variant.runtimeBase] ?? "")),
  };
}

function planModels(config: Config, dockerfile: Dockerfile): Record<ModelName, PlannedModel> {
  const problems: string[] = [];
  const planned = forEachModel((name): PlannedModel => {
    const { title, arg, file } = knownModels[name];
    const sha256 = config.models[name]?.sha256 ?? dockerfile.args.get(`${arg}_SHA256`) ?? "";
    const urls = config.models[name]?.urls ?? [dockerfile.args.get(`${arg}_URL`) ?? ""];
    if (!/^[0-9a-f]{64}$/.test(sha256)) {
      const right = `the pin of ${title}, 64 lower-case hex digits (it has ${sha256.length} characters)`;
      problems.push(`ARG ${arg}_SHA256 in ${dockerfile.path} is "${sha256}"; it must be ${right}.`);
    }
    if (!urls.some(isWebUrl)) {
      const right = "with at least one http or https URL, because the builder cannot read this machine's files";
      problems.push(`facecraft:models.${name}.urls is ${JSON.stringify(urls)}; it must be a list ${right}.`);
    }
    for (const fault of urls.map(urlFault).filter((fault) => fault !== undefined)) {
      problems.push(`ARG ${arg}_URL in ${dockerfile.path} must say where ${title} is: ${fault}.`);
    }
    return { title, file, urls, sha256, ...(config.caBundle && { caBundle: config.caBundle }) };
  });
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return planned;
}

/**
 * The build args of one model. The Dockerfile's pin of the file as served belongs to its own URL and pin. Where the stack
 * replaces either, an uncompressed file is judged by the one pin, and of a compressed one the builder checks what comes
 * out of it ("none"), unless the stack gives the other pin too. Never an empty value: the docker-build provider takes it
 * for an unknown one, and skips the build on preview.
 */
function modelArgs(name: ModelName, model: PlannedModel, override?: ModelOverride): [string, string][] {
  const { arg } = knownModels[name];
  const url = model.urls.find(isWebUrl) as string;
  const served = override?.downloadSha256 ?? (formatOf(url) === "none" ? model.sha256 : "none");
  return [
    [`${arg}_URL`, url],
    [`${arg}_SHA256`, model.sha256],
    ...(override ? [[`${arg}_DOWNLOAD_SHA256`, served] as [string, string]] : []),
  ];
}

function isWebUrl(url: string): boolean {
  return /^https?:/.test(url);
}

export interface BaseImage {
  name: string;
  digest: string;
}

/** Splits `name:tag@sha256:...`; a base without a digest is called what it is, so that a preview shows it. */
export function parseBase(reference: string): BaseImage {
  const [name = "", digest] = reference.split("@");
  return { name, digest: digest ?? "unpinned" };
}

/** The part of an immutable tag that says what it is, before its suffix. */
export function tagStem(plan: Pick<ReleasePlan, "version" | "variant">): string {
  // "+" (semver's build metadata) is not allowed in a tag.
  return `${plan.version.replace("+", "_")}-${plan.variant}`;
}
