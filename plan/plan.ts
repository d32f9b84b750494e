import { readFileSync } from "node:fs";
import { formatOf } from "../artifacts/decompress.ts";
import { urlFault } from "../artifacts/pins.ts";
import { hasSecret } from "../artifacts/redact.ts";
import type { Signer } from "../attest/cosign.ts";
import type { Healthcheck } from "../registry/healthcheck.ts";
import { nameOf, splitReference } from "../registry/references.ts";
import { planBases } from "./bases.ts";
import type { Config, ModelOverride, RegistryAuth } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import { downloadSecrets, type Split, splitCredential } from "./credentials.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import type { GpuPlan } from "./gpu.ts";
import { forEachModel, models as knownModels, type ModelName, modelNames } from "./models.ts";
import { gpuLabel, label, notProven, ownLabels } from "./naming.ts";
import { type PlannedProof, planProof, proofArgs } from "./proof.ts";
import { shown } from "./shown.ts";
import { signerOf } from "./signing.ts";
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
  /** Files of the application that are not its commit's, which is why the revision says dirty. */
  uncommitted: string[];
  models: Record<ModelName, PlannedModel>;
  proof: PlannedProof;
  buildArgs: Record<string, string>;
  /** Credentials for the build, by the names of the build secrets; they decide no content, so nothing else knows them. */
  buildSecrets: Record<string, string>;
  /** Build args, and `app` for the application's location, that the stack's config keeps secret as a whole. */
  secretValues: string[];
  labels: Record<string, string>;
  /** Never empty: the builder's own platform may be one that the variant cannot be built for. */
  platforms: readonly string[];
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
  /** Who signs the release; without, it is not signed. */
  signer?: Signer;
}

export interface PlannedModel {
  title: string;
  /** Absolute path in the image. */
  file: string;
  /** Mirrors, in the order to try them; the builder uses the first that is on the web. */
  urls: string[];
  /** Pin of the file in the image: 64 hex digits. */
  sha256: string;
  /** Sent as `Authorization: Bearer` to the host of the first URL. */
  token?: string;
  caBundle?: string;
}

function labelsOf(config: Config, source: Source, base: string, { gpu }: PlannedProof): Record<string, string> {
  const labels = {
    ...ownLabels,
    version: config.version,
    revision: source.revision,
    description: variants[config.variant].description,
    "base.name": nameOf(base),
    "base.digest": splitReference(base).digest ?? "",
  };
  return {
    ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [label(name), value])),
    ...(variants[config.variant].device === "cuda" && { [gpuLabel]: gpu ?? notProven }),
  };
}

/**
 * Puts together what the stack asks for and what the Dockerfile pins.
 *
 * @param isSecret whether the stack keeps a config key encrypted
 * @param onGpu the GPU that the builder has for the proof, or why it has none
 * @throws ConfigError for a pin that is missing, short or empty in the Dockerfile, for a base there without a digest, for a credential that cannot be kept
 *   out of the state, and for a variable of the proof that is not its own.
 */
export function planRelease(
  config: Config,
  dockerfile: DockerfileFacts,
  source: Source,
  isSecret = (_key: string) => false,
  onGpu?: GpuPlan,
): ReleasePlan {
  const variant = variants[config.variant];
  const torchIndex = splitCredential("torchIndexUrl", config.torchIndexUrl ?? variant.torch.index);
  const pipIndex = config.pipIndexUrl === undefined ? undefined : splitCredential("pipIndexUrl", config.pipIndexUrl);
  const app = /^https?:/.test(source.context) ? splitCredential("source", source.context) : { url: source.context };
  const models = planModels(config, dockerfile);
  const downloads = forEachModel((name) => builderDownload(name, models[name], config.models[name]?.token));
  const bases = planBases(config, dockerfile);
  const proof = planProof(config, dockerfile, onGpu);
  const secretModels =
    isSecret("models") && !holdsCredential(config) ? modelNames.filter((name) => config.models[name]?.urls) : [];
  const { builder, registryAuth, cacheRepository, caBundle } = config;
  const signer = signerOf(config);
  return {
    variant: config.variant,
    version: config.version,
    repository: config.repository,
    platforms: config.platforms.length > 0 ? config.platforms : variant.platforms,
    push: config.push,
    ...(builder && { builder }),
    ...(registryAuth && { registryAuth }),
    ...(cacheRepository && { cacheRepository }),
    ...(caBundle && { caBundle }),
    ...(signer && { signer }),
    revision: source.revision,
    dockerfile: dockerfile.path,
    torchIndexUrl: torchIndex.url,
    healthcheck: dockerfile.healthcheck,
    appContext: app.url,
    uncommitted: source.uncommitted,
    models,
    proof,
    buildArgs: {
      ...bases,
      TORCH_INDEX_URL: torchIndex.url,
      ...(pipIndex && { PIP_INDEX_URL: pipIndex.url }),
      ...(config.constraints && { CONSTRAINTS: readFileSync(config.constraints, "utf8") }),
      ...proofArgs(proof, onGpu?.gpu),
      // The date of the image. Those of its files are settled in the Dockerfile: rewriting them on export would read and
      // compress every layer again for each commit.
      SOURCE_DATE_EPOCH: String(source.committedAt),
      ...Object.fromEntries(
        modelNames.flatMap((name) => modelArgs(name, downloads[name], models[name].sha256, config.models[name])),
      ),
      // The image lists where its models came from.
      ...(secretModels.length > 0 && { UNTOLD_SOURCES: secretModels.map((name) => models[name].file).join(" ") }),
    },
    // Where a credential was taken out, that was the secret part; what is left is told as it is.
    secretValues: [
      ...(isSecret("torchIndexUrl") && !torchIndex.authorization ? ["TORCH_INDEX_URL"] : []),
      ...(isSecret("pipIndexUrl") && !pipIndex?.authorization ? ["PIP_INDEX_URL"] : []),
      ...(isSecret("source") && !app.authorization ? ["app"] : []),
      ...secretModels.map((name) => `${knownModels[name].arg}_URL`),
    ],
    buildSecrets: {
      ...(app.authorization && { [`GIT_AUTH_HEADER.${new URL(app.url).host}`]: app.authorization }),
      ...downloadSecrets(Object.values(downloads)),
      // As they stand in the config, and not made anew of their parts: so the engine's log masks them.
      ...(torchIndex.authorization && { torch_index_url: config.torchIndexUrl as string }),
      ...(pipIndex?.authorization && { pip_index_url: config.pipIndexUrl as string }),
    },
    labels: labelsOf(config, source, bases[variant.runtimeBase] ?? "", proof),
  };
}

function planModels(config: Config, dockerfile: DockerfileFacts): Record<ModelName, PlannedModel> {
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
      problems.push(`facecraft:models.${name}.urls is ${shown(urls)}; it must be a list ${right}.`);
    }
    for (const fault of urls.map(urlFault).filter((fault) => fault !== undefined)) {
      problems.push(`ARG ${arg}_URL in ${dockerfile.path} must say where ${title} is: ${fault}.`);
    }
    const token = config.models[name]?.token;
    return {
      title,
      file,
      urls,
      sha256,
      ...(token && { token }),
      ...(config.caBundle && { caBundle: config.caBundle }),
    };
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
function modelArgs(name: ModelName, { url }: Split, sha256: string, override?: ModelOverride): [string, string][] {
  const { arg } = knownModels[name];
  const served = override?.downloadSha256 ?? (formatOf(url) === "none" ? sha256 : "none");
  return [
    [`${arg}_URL`, url],
    [`${arg}_SHA256`, sha256],
    ...(override ? [[`${arg}_DOWNLOAD_SHA256`, served] as [string, string]] : []),
  ];
}

/** What the builder downloads: the first mirror that is on the web, which must be one whose credential can be taken out of it. */
function builderDownload(name: ModelName, { urls }: PlannedModel, token?: string): Split & { key: string } {
  const at = urls.findIndex(isWebUrl);
  const key = `models.${name}.urls[${at}]`;
  return { key, ...splitCredential(key, urls[at] as string, token) };
}

function holdsCredential({ models }: Config): boolean {
  return Object.values(models).some(({ urls = [], token }) => token !== undefined || urls.some(hasSecret));
}

function isWebUrl(url: string): boolean {
  return /^https?:/.test(url);
}
