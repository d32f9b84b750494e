import * as pulumi from "@pulumi/pulumi";
import * as runtimeConfig from "@pulumi/pulumi/runtime/config.js";
import * as v from "valibot";
import { urlFault } from "../artifacts/pins.ts";
import { keyFault } from "../attest/keyReference.ts";
import { pinnedImagePattern, repositoryPattern } from "../registry/references.ts";
import { ConfigError, type ConfigOf, parseConfigOf, type StackConfig } from "./configReader.ts";
import { forEachModel, models as knownModels, type ModelName, modelNames } from "./models.ts";
import {
  boolean,
  checked,
  file,
  hidden,
  isDirectory,
  matching,
  object,
  oneOf,
  oneOfThose,
  optional,
  pickFrom,
  publicEnvironment,
  type Right,
  secret,
  setOf,
  someOf,
  text,
  url,
  webUrl,
  withDefault,
} from "./schema.ts";
import { type BaseName, baseNames, type Variant, variantNames, variants } from "./variants.ts";

const number = "(0|[1-9]\\d*)";
const dotted = "[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*";
const semver = new RegExp(`^${number}\\.${number}\\.${number}(-${dotted})?(\\+${dotted})?$`);

const gitUrl = /^(https?|git|ssh):\/\/[^\s#]+(#[^\s]*)?$/;
const pinnedGitUrl = /^[^#]+#[0-9a-f]{40}(:[^\s:]+)?$/;
const builderName = /^[a-zA-Z][a-zA-Z0-9_.-]*$/;
const sha256Hex = /^[0-9a-f]{64}$/;

const repository = matching(repositoryPattern, "a repository without a tag, such as docker.io/djok/facecraft");

const source = url(
  (given) => (isGitUrl(given) ? pinnedGitUrl.test(given) && URL.canParse(given) : isDirectory(given)),
  ({ input }) =>
    isGitUrl(String(input))
      ? "pinned to a commit: <url>#<40 hex digits>, so that a release always means the same code"
      : "an existing directory, or a git URL pinned to a commit (https://host/repo.git#<40 hex digits>)",
  holdsGitCredential,
);

const together = "text that is not empty (address, username and password belong together)";
const registryAuth = hidden(
  object({ address: text(together), username: text(together), password: secret("a password", together) }),
);

const image = optional(
  matching(
    pinnedImagePattern,
    "an image reference with a digest (name:tag@sha256:<64 hex digits>), because a tag can come to mean another image",
  ),
);
const baseImages = Object.fromEntries(baseNames.map((name) => [name, image])) as Record<BaseName, typeof image>;

const modelUrl = (right: Right) => url((given) => urlFault(given) === undefined, right);
const modelUrls = someOf(modelUrl, "a list of http, https or file URLs of the file, in the order to try them");

const pin = (name: ModelName) =>
  matching(sha256Hex, ({ input }) => {
    const length = typeof input === "string" ? ` (it has ${input.length} characters)` : "";
    return `64 lower-case hex digits${length}: the pin of ${knownModels[name].title}`;
  });

const model = (name: ModelName) =>
  object({
    urls: optional(modelUrls),
    sha256: optional(pin(name)),
    /** Of the file as served, where that is compressed; without it the builder checks the decompressed file only. */
    downloadSha256: optional(pin(name)),
    /** For a server that wants `Authorization: Bearer`. */
    token: optional(hidden(secret("a token", "a token: text without spaces and line breaks", /^[\x21-\x7e]+$/))),
  });

/** What a variant can be built for; a platform that it has no torch for would be another's content under a wrong name. */
const platforms = (names: readonly Variant[]) => {
  const known: readonly string[] = [...new Set(names.flatMap((name) => variants[name].platforms))];
  return setOf(
    (right) => checked((given) => known.includes(given), right),
    `a list of platforms that the ${names.join(" or ")} image can be built for, each once: ${known.join(", ")}`,
  );
};

const unusedModels = setOf(
  (right) => pickFrom(modelNames, right),
  `a list of models that the application need not open, each once: ${modelNames.join(", ")}`,
);

/** When the proof also runs on a GPU: where the builder has one, or else nothing is released, or never. */
const gpuProof = (names: readonly Variant[]) => {
  const isForGpus = names.some((name) => variants[name].device === "cuda");
  return oneOfThose(
    ["auto", "required", "off"],
    (choice) => isForGpus || choice !== "required",
    isForGpus
      ? "auto, required or off"
      : `auto or off, because the ${names.join(" or ")} image computes on no GPU: it has nothing that could be proven on one`,
  );
};

const signingKey = checked(
  (given) => keyFault(given) === undefined,
  ({ input }) =>
    (typeof input === "string" && keyFault(input)) || "a private key: a path, env://NAME or a KMS reference",
);

/** Who signs a release: a key, or in GitHub Actions whom its OIDC names. */
const signing = v.pipe(
  object({
    key: optional(signingKey),
    password: optional(hidden(secret("a password", "the password of the key: text that is not empty"))),
    keyless: optional(boolean()),
  }),
  v.check(
    ({ key, password, keyless }) =>
      keyless === true ? key === undefined && password === undefined : key !== undefined && keyless === undefined,
    "either {key} or {key, password}, or {keyless: true}",
  ),
);

/** The keys of the namespace `facecraft`: what each must be, and what stands for it where it is not given. */
export const configKeys = {
  variant: oneOf(variantNames),
  version: withDefault(matching(semver, "a semantic version such as 1.4.0"), "1.0.0"),
  source,
  repository: withDefault(repository, "docker.io/djok/facecraft"),
  push: withDefault(boolean(), true),
  registryAuth: optional(registryAuth),
  builder: optional(matching(builderName, "the name of a buildx builder (see `docker buildx ls`)")),
  /** Those of other variants are allowed, so that stacks can share a config. */
  baseImages: withDefault(object(baseImages), {}),
  torchIndexUrl: optional(webUrl("an http or https URL of a wheel index")),
  pipIndexUrl: optional(webUrl("an http or https URL of a package index")),
  models: withDefault(object(forEachModel((name) => optional(model(name)))), {}),
  /** Path of a PEM file. */
  caBundle: optional(file("an existing PEM file")),
  cacheRepository: optional(repository),
  /** All that the variant can be built for, where the list is empty. */
  platforms: withDefault(platforms(variantNames), []),
  /** Path of a file of lines for pip's `-c`. */
  constraints: optional(file("an existing file of lines for pip's -c, as `make constraints` writes it")),
  /** Whether the proof boots the application, and lets it answer a portrait. */
  smokeTest: withDefault(boolean(), true),
  /** Models in the image that the application does not open by the time it has answered the portrait. */
  unusedModels: withDefault(unusedModels, []),
  /** Whether an attempt to reach the network during the proof stops the release. */
  network: withDefault(oneOf(["refused", "allowed"]), "refused"),
  gpuProof: withDefault(gpuProof(variantNames), "auto"),
  /** For the application in the proof only; the image does not have it, but its record shows it. */
  proofEnvironment: withDefault(publicEnvironment(), {}),
  /** Absent: releases are not signed. */
  signing: optional(signing),
};

/** What a stack asks for, checked and typed. Absent means: as the Dockerfile, or the tool, has it. */
export type Config = ConfigOf<typeof configKeys>;
export type RegistryAuth = v.InferOutput<typeof registryAuth>;
export type ModelOverride = v.InferOutput<ReturnType<typeof model>>;

/** The keys as a variant has them; what is no variant is told by its own key. */
function keysOf({ variant = "" }: Readonly<Record<string, string>>): typeof configKeys {
  const own = variantNames.filter((name) => name === variant.trim());
  return own.length > 0
    ? { ...configKeys, platforms: withDefault(platforms(own), []), gpuProof: withDefault(gpuProof(own), "auto") }
    : configKeys;
}

function parseStack(stack: StackConfig): Config {
  const config = parseConfigOf("facecraft", keysOf(stack.values), stack);
  if (Object.keys(config.proofEnvironment).length > 0 && stack.isSecret("proofEnvironment")) {
    throw new ConfigError([
      "facecraft:proofEnvironment is kept as a secret; it must be plain text, because the record in the image shows it " +
        "to everyone who can pull it. Set it without --secret, and leave out what nobody may know.",
    ]);
  }
  return config;
}

/** The config of the stack that runs. @throws ConfigError, see {@link parseConfig} */
export function readConfig(): Config {
  return parseStack(stackConfig("facecraft"));
}

/** Whether the stack that runs keeps a key encrypted. */
export function isSecret(key: string): boolean {
  return stackConfig("facecraft").isSecret(key);
}

/**
 * Parses a stack's config, the values of the namespace `facecraft`, keyed without it.
 *
 * @param isSecret whether the stack keeps a key encrypted
 * @throws ConfigError that lists every problem: the key, the value and what would be right
 */
export function parseConfig(values: Readonly<Record<string, string>>, isSecret = (_key: string) => false): Config {
  return parseStack({ values, isSecret });
}

/** What the stack that runs has in a namespace. */
export function stackConfig(namespace: string): StackConfig {
  const prefix = `${namespace}:`;
  const own = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(prefix));
  // Pulumi's own function, which its typings leave out.
  const { isConfigSecret } = runtimeConfig as unknown as { isConfigSecret(key: string): boolean };
  return {
    values: Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value])),
    isSecret: (key) => isConfigSecret(`${prefix}${key}`),
  };
}

/** Whether a source is a git URL rather than a directory. */
export function isGitUrl(source: string): boolean {
  return gitUrl.test(source);
}

/** A token can stand for the user of https; the user of ssh is no secret. */
function holdsGitCredential(source: string): boolean {
  const { protocol = "", username = "", password = "" } = URL.parse(source) ?? {};
  return password !== "" || (username !== "" && protocol !== "ssh:");
}
