import { statSync } from "node:fs";
import { resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import * as runtimeConfig from "@pulumi/pulumi/runtime/config.js";
import { hasSecret } from "../artifacts/redact.ts";
import { ConfigError, ConfigReader, isRecord } from "./configReader.ts";
import { models as knownModels, type ModelName, modelNames } from "./models.ts";
import { type Variant, variantNames, variants } from "./variants.ts";

/** What a stack asks for, checked and typed. Absent means: as the Dockerfile, or the tool, has it. */
export interface Config {
  variant: Variant;
  version: string;
  source: string;
  repository: string;
  push: boolean;
  registryAuth?: RegistryAuth;
  builder?: string;
  /** ARG of the Dockerfile -> image reference. */
  baseImages: Record<string, string>;
  torchIndexUrl?: string;
  pipIndexUrl?: string;
  models: Partial<Record<ModelName, ModelOverride>>;
  /** Path of a PEM file. */
  caBundle?: string;
  cacheRepository?: string;
  platforms: string[];
  /** Path of a file of lines for pip's `-c`. */
  constraints?: string;
  /** Whether the proof boots the application. */
  smokeTest: boolean;
}

export interface RegistryAuth {
  address: string;
  username: string;
  password: string;
}

export interface ModelOverride {
  urls?: string[];
  sha256?: string;
  /** Of the file as served, where that is compressed; without it the builder checks the decompressed file only. */
  downloadSha256?: string;
}

const keys = [
  ...["variant", "version", "source", "repository", "push", "registryAuth", "builder", "baseImages", "torchIndexUrl"],
  ...["pipIndexUrl", "models", "caBundle", "cacheRepository", "platforms", "constraints", "smokeTest"],
];

const number = "(0|[1-9]\\d*)";
const dotted = "[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*";
const semver = new RegExp(`^${number}\\.${number}\\.${number}(-${dotted})?(\\+${dotted})?$`);

const host = "(?:[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)*|\\[[0-9a-f:]+\\])(?::\\d+)?";
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const repositoryName = new RegExp(`^(?:${host}/)?${component}(?:/${component})*$`);

const imageReference = /^[^\s@]+(@sha256:[0-9a-f]{64})?$/;
const gitUrl = /^(https?|git|ssh):\/\/[^\s#]+(#[^\s]*)?$/;
const pinnedGitUrl = /^[^#]+#[0-9a-f]{40}(:[^\s:]+)?$/;
const builderName = /^[a-zA-Z][a-zA-Z0-9_.-]*$/;
const platform = /^[a-z0-9]+\/[a-z0-9_]+(\/v\d+)?$/;
const sha256Hex = /^[0-9a-f]{64}$/;
const webUrl = /^https?:\/\/\S+$/;

/** The config of the stack that runs. @throws ConfigError, see {@link parseConfig} */
export function readConfig(): Config {
  const prefix = "facecraft:";
  const own = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(prefix));
  // Pulumi's own function, which its typings leave out.
  const { isConfigSecret } = runtimeConfig as unknown as { isConfigSecret(key: string): boolean };
  const raw = Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value]));
  return parseConfig(raw, (key) => isConfigSecret(`${prefix}${key}`));
}

/**
 * Parses a stack's config, the values of the namespace `facecraft`, keyed without it.
 *
 * @param isSecret whether the stack keeps a key encrypted
 * @throws ConfigError that lists every problem: the key, the value and what would be right
 */
export function parseConfig(raw: Readonly<Record<string, string>>, isSecret = (_key: string) => false): Config {
  const reader = new ConfigReader(raw);
  reader.onlyKnown("", raw, keys);
  const variant = reader.oneOf("variant", variantNames);
  const repository = "a repository without a tag, such as docker.io/djok/facecraft";
  const config: { [Key in keyof Config]: Config[Key] | undefined } = {
    variant,
    version: reader.matching("version", semver, "a semantic version such as 1.4.0"),
    source: parseSource(reader),
    repository: reader.matching("repository", repositoryName, repository),
    push: reader.truth("push"),
    registryAuth: parseRegistryAuth(reader),
    builder: reader.optional("builder", builderName, "the name of a buildx builder (see `docker buildx ls`)"),
    baseImages: parseBaseImages(reader, variant),
    torchIndexUrl: reader.optional("torchIndexUrl", webUrl, "an http or https URL of a wheel index"),
    pipIndexUrl: reader.optional("pipIndexUrl", webUrl, "an http or https URL of a package index"),
    models: parseModels(reader),
    caBundle: reader.file("caBundle", "an existing PEM file"),
    cacheRepository: reader.optional("cacheRepository", repositoryName, repository),
    platforms: reader.list("platforms", platform, "a list of platforms such as linux/amd64"),
    constraints: reader.file("constraints", "an existing file of lines for pip's -c, as `make constraints` writes it"),
    smokeTest: reader.truth("smokeTest"),
  };
  const plainText = [
    config.registryAuth?.password && !isSecret("registryAuth") && "registryAuth holds a password",
    urlsOf(config.models).some(hasSecret) && !isSecret("models") && "models holds a URL with a credential",
  ].filter((what) => typeof what === "string" && what !== "");
  const problems = [
    ...reader.problems,
    // Pulumi copies what is not secret, as it is, into every state file.
    ...plainText.map((what) => `facecraft:${what} in plain text; set it with \`pulumi config set --secret\`.`),
  ];
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as unknown as Config;
}

/** Whether a source is a git URL rather than a directory. */
export function isGitUrl(source: string): boolean {
  return gitUrl.test(source);
}

function parseSource(reader: ConfigReader): string {
  const source = reader.text("source");
  const pinned = "pinned to a commit: <url>#<40 hex digits>, so that a release always means the same code";
  const either = "an existing directory, or a git URL pinned to a commit (https://host/repo.git#<40 hex digits>)";
  if (isGitUrl(source)) {
    return reader.matching("source", pinnedGitUrl, pinned);
  }
  if (source === "" || !statSync(resolve(source), { throwIfNoEntry: false })?.isDirectory()) {
    reader.wrong("source", source, either);
  }
  return source;
}

function parseRegistryAuth(reader: ConfigReader): RegistryAuth | undefined {
  const given = reader.object("registryAuth");
  const parts = ["address", "username", "password"] as const;
  reader.onlyKnown("registryAuth.", given, parts);
  if (Object.keys(given).length === 0) {
    return undefined;
  }
  for (const part of parts.filter((part) => typeof given[part] !== "string" || given[part] === "")) {
    reader.wrong(`registryAuth.${part}`, "", "given when any part of registryAuth is");
  }
  return given as unknown as RegistryAuth;
}

/** The bases of the variant by their ARGs; those of other variants are allowed, so that stacks can share a config. */
function parseBaseImages(reader: ConfigReader, variant: Variant): Record<string, string> {
  const known = variantNames.flatMap((name) => Object.keys(variants[name].bases));
  const given = reader.object("baseImages");
  reader.onlyKnown("baseImages.", given, known);
  const args: Readonly<Record<string, string>> = variants[variant]?.bases ?? {};
  const images: Record<string, string> = {};
  for (const [key, value] of Object.entries(given).filter(([key]) => known.includes(key))) {
    if (typeof value !== "string" || !imageReference.test(value)) {
      reader.wrong(
        `baseImages.${key}`,
        value,
        "an image reference, best with a digest (name:tag@sha256:<64 hex digits>)",
      );
    } else if (args[key]) {
      images[args[key]] = value;
    }
  }
  return images;
}

function parseModels(reader: ConfigReader): Config["models"] {
  const given = reader.object("models");
  reader.onlyKnown("models.", given, modelNames);
  const asked = modelNames.filter((name) => name in given);
  return Object.fromEntries(asked.map((name) => [name, parseModel(reader, name, given[name])]));
}

function parseModel(reader: ConfigReader, name: ModelName, given: unknown): ModelOverride {
  if (!isRecord(given)) {
    reader.wrong(`models.${name}`, given, "an object {urls, sha256}");
    return {};
  }
  reader.onlyKnown(`models.${name}.`, given, ["urls", "sha256", "downloadSha256"]);
  const { urls } = given;
  if (urls !== undefined && !(Array.isArray(urls) && urls.length > 0 && urls.every(isModelUrl))) {
    reader.wrong(`models.${name}.urls`, urls, "a list of http, https or file URLs, in the order to try them");
  }
  for (const pin of ["sha256", "downloadSha256"] as const) {
    const hex = given[pin];
    if (hex !== undefined && !(typeof hex === "string" && sha256Hex.test(hex))) {
      const length = typeof hex === "string" ? ` (it has ${hex.length} characters)` : "";
      reader.wrong(
        `models.${name}.${pin}`,
        hex,
        `64 lower-case hex digits${length}: the pin of ${knownModels[name].title}`,
      );
    }
  }
  return given;
}

function isModelUrl(value: unknown): value is string {
  return typeof value === "string" && /^(https?|file):$/.test(URL.parse(value)?.protocol ?? "");
}

function urlsOf(models: Config["models"] | undefined): string[] {
  const all = Object.values(models ?? {}).flatMap(({ urls }) => urls ?? []);
  return all.filter((url) => typeof url === "string");
}
