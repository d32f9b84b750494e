import { statSync } from "node:fs";
import { resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import * as runtimeConfig from "@pulumi/pulumi/runtime/config.js";
import { hasSecret } from "../artifacts/redact.ts";
import { models as knownModels, type ModelName, modelNames } from "./models.ts";
import { type Variant, variantNames, variants } from "./variants.ts";

/** What a stack asks for, checked and typed. Empty means: as the Dockerfile, or the tool, has it. */
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
  /** Path of a file of lines for pip's `-c`. */
  constraints?: string;
  /** Whether the proof boots the application. */
  smokeTest: boolean;
  cacheRepository?: string;
  platforms: string[];
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

/** Every problem of a stack's config, one sentence each. Pulumi shows it without a stack trace. */
export class ConfigError extends pulumi.RunError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** The config of the stack that runs. @throws ConfigError, see {@link parseConfig} */
export function readConfig(): Config {
  const prefix = "facecraft:";
  const own = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(prefix));
  // Pulumi's own function, which its typings leave out.
  const { isConfigSecret } = runtimeConfig as unknown as { isConfigSecret(key: string): boolean };
  const secret = (key: string) => isConfigSecret(`${prefix}${key}`);
  return parseConfig(Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value])), secret);
}

const keys = [
  ...["variant", "version", "source", "repository", "push", "registryAuth", "builder", "baseImages", "torchIndexUrl"],
  ...["pipIndexUrl", "models", "caBundle", "cacheRepository", "platforms", "constraints", "smokeTest"],
];
const baseImageKeys = variantNames.flatMap((name) => Object.keys(variants[name].bases));

const semver =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;
const repositoryName =
  /^(?:(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-f:]+\])(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const imageReference = /^[^\s@]+(@sha256:[0-9a-f]{64})?$/;
const gitUrl = /^(https?|git|ssh):\/\/[^\s#]+(#[^\s]*)?$/;
const pinnedGitUrl = /^[^#]+#[0-9a-f]{40}(:[^\s:]+)?$/;
const platform = /^[a-z0-9]+\/[a-z0-9_]+(\/v\d+)?$/;
const sha256Hex = /^[0-9a-f]{64}$/;

/** Whether a source is a git URL rather than a directory. */
export function isGitUrl(source: string): boolean {
  return gitUrl.test(source);
}

/**
 * Parses a stack's config, the values of the namespace `facecraft` as Pulumi hands them over (strings, JSON for what is
 * structured), keyed without the namespace.
 *
 * @param isSecret whether the stack keeps a key encrypted
 * @throws ConfigError that lists every problem: the key, the value and what would be right.
 */
export function parseConfig(raw: Readonly<Record<string, string>>, isSecret = (_key: string) => false): Config {
  const problems: string[] = [];
  const wrong = (key: string, value: unknown, right: string) => {
    const shown = typeof value === "string" ? `"${value}"` : JSON.stringify(value);
    problems.push(`facecraft:${key} is ${shown}; it must be ${right}.`);
  };

  const text = (key: string): string => (raw[key] ?? "").trim();
  const matching = (key: string, pattern: RegExp, right: string): string => {
    const value = text(key);
    if (!pattern.test(value)) {
      wrong(key, value, right);
    }
    return value;
  };
  const optional = (key: string, pattern: RegExp, right: string): string | undefined =>
    text(key) === "" ? undefined : matching(key, pattern, right);
  const truth = (key: string): boolean => {
    const value = text(key) || "true";
    if (value !== "true" && value !== "false") {
      wrong(key, value, "true or false");
    }
    return value === "true";
  };
  const file = (key: string, right: string): string | undefined => {
    const path = text(key) || undefined;
    if (path !== undefined && !isFile(path)) {
      wrong(key, path, right);
    }
    return path;
  };
  const structured = (key: string): Record<string, unknown> => {
    const value = parseJson(text(key) || "{}");
    if (isRecord(value)) {
      return value;
    }
    wrong(key, text(key), "an object");
    return {};
  };
  const onlyKnown = (prefix: string, value: Record<string, unknown>, known: readonly string[]) => {
    for (const key of Object.keys(value).filter((key) => !known.includes(key))) {
      problems.push(`facecraft:${prefix}${key} is not a config key; known are ${known.join(", ")}.`);
    }
  };

  onlyKnown("", raw, keys);

  const variant = text("variant") as Variant;
  if (!variantNames.includes(variant)) {
    wrong("variant", variant, variantNames.join(" or "));
  }

  const source = text("source");
  if (isGitUrl(source)) {
    if (!pinnedGitUrl.test(source)) {
      wrong(
        "source",
        source,
        "pinned to a commit: <url>#<40 hex digits>, so that a release always means the same code",
      );
    }
  } else if (source === "" || !isDirectory(source)) {
    wrong(
      "source",
      source,
      "an existing directory, or a git URL pinned to a commit (https://host/repo.git#<40 hex digits>)",
    );
  }

  const baseImages: Record<string, string> = {};
  const givenBases = structured("baseImages");
  onlyKnown("baseImages.", givenBases, baseImageKeys);
  for (const [key, value] of Object.entries(givenBases).filter(([key]) => baseImageKeys.includes(key))) {
    if (typeof value !== "string" || !imageReference.test(value)) {
      wrong(`baseImages.${key}`, value, "an image reference, best with a digest (name:tag@sha256:<64 hex digits>)");
    } else if (variantNames.includes(variant)) {
      const arg = (variants[variant].bases as Record<string, string>)[key];
      if (arg) {
        baseImages[arg] = value;
      }
    }
  }

  const models: Config["models"] = {};
  const givenModels = structured("models");
  onlyKnown("models.", givenModels, modelNames);
  for (const name of modelNames.filter((name) => name in givenModels)) {
    const value = givenModels[name];
    if (!isRecord(value)) {
      wrong(`models.${name}`, value, "an object {urls, sha256}");
      continue;
    }
    onlyKnown(`models.${name}.`, value, ["urls", "sha256", "downloadSha256"]);
    const override: ModelOverride = {};
    if (value.urls !== undefined) {
      if (!Array.isArray(value.urls) || value.urls.length === 0 || !value.urls.every(isModelUrl)) {
        wrong(`models.${name}.urls`, value.urls, "a list of http, https or file URLs, in the order to try them");
      } else {
        override.urls = value.urls;
      }
    }
    for (const pin of ["sha256", "downloadSha256"] as const) {
      const hex = value[pin];
      if (hex === undefined) {
        continue;
      }
      if (typeof hex !== "string" || !sha256Hex.test(hex)) {
        const length = typeof hex === "string" ? ` (it has ${hex.length} characters)` : "";
        wrong(`models.${name}.${pin}`, hex, `64 lower-case hex digits${length}: the pin of ${knownModels[name].title}`);
      } else {
        override[pin] = hex;
      }
    }
    models[name] = override;
  }

  const givenAuth = structured("registryAuth");
  onlyKnown("registryAuth.", givenAuth, ["address", "username", "password"]);
  let registryAuth: RegistryAuth | undefined;
  if (Object.keys(givenAuth).length > 0) {
    const { address, username, password } = givenAuth;
    for (const [key, value] of Object.entries({ address, username, password })) {
      if (typeof value !== "string" || value === "") {
        wrong(`registryAuth.${key}`, key === "password" ? "" : (value ?? ""), "given when any part of registryAuth is");
      }
    }
    registryAuth = { address, username, password } as RegistryAuth;
  }

  // Pulumi copies what is not secret, in plain text, into every state file.
  const keepSecret = (key: string, what: string) => {
    if (!isSecret(key)) {
      problems.push(`facecraft:${key} holds ${what} in plain text; set it with \`pulumi config set --secret\`.`);
    }
  };
  if (registryAuth?.password) {
    keepSecret("registryAuth", "a password");
  }
  if (Object.values(models).some((model) => model.urls?.some(hasSecret))) {
    keepSecret("models", "a URL with a credential");
  }

  const platforms = parseJson(text("platforms") || "[]");
  const platformsRight = "a list of platforms such as linux/amd64";
  if (!Array.isArray(platforms) || !platforms.every((item) => typeof item === "string" && platform.test(item))) {
    wrong("platforms", platforms, platformsRight);
  }

  const indexUrl = /^https?:\/\/\S+$/;
  const repositoryRight = "a repository without a tag, such as docker.io/djok/facecraft";
  const config = {
    variant,
    version: matching("version", semver, "a semantic version such as 1.4.0"),
    source,
    repository: matching("repository", repositoryName, repositoryRight),
    push: truth("push"),
    registryAuth,
    builder: optional("builder", /^[a-zA-Z][a-zA-Z0-9_.-]*$/, "the name of a buildx builder (see `docker buildx ls`)"),
    baseImages,
    torchIndexUrl: optional("torchIndexUrl", indexUrl, "an http or https URL of a wheel index"),
    pipIndexUrl: optional("pipIndexUrl", indexUrl, "an http or https URL of a package index"),
    models,
    caBundle: file("caBundle", "an existing PEM file"),
    constraints: file("constraints", "an existing file of lines for pip's -c, as `make constraints` writes it"),
    smokeTest: truth("smokeTest"),
    cacheRepository: optional("cacheRepository", repositoryName, repositoryRight),
    platforms: platforms as string[],
  };
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return dropUndefined(config) as Config;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isModelUrl(value: unknown): value is string {
  return typeof value === "string" && /^(https?|file):$/.test(URL.parse(value)?.protocol ?? "");
}

function isDirectory(path: string): boolean {
  return statSync(resolve(path), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isFile(path: string): boolean {
  return statSync(resolve(path), { throwIfNoEntry: false })?.isFile() ?? false;
}

function dropUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Partial<T>;
}
