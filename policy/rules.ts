import { ActionableError } from "../artifacts/errors.ts";
import { hasSecret } from "../artifacts/redact.ts";
import { looksSecret } from "../artifacts/secrets.ts";
import { type ModelName, modelNames, models } from "../plan/models.ts";
import { gpuLabel, label, notProven, ownLabels, tagStem } from "../plan/naming.ts";
import { variantNames, variants } from "../plan/variants.ts";
import { digestPattern, fullName, isLoopback, locate, splitReference } from "../registry/references.ts";
import { type ImageView, isRelease, secret, unknown, type Value, type VerifiedModel } from "./image.ts";

/** What those who apply the rules decide. */
export interface Limits {
  /** Registries (`ghcr.io`) and parts of them (`docker.io/djok`) that a release may be pushed to. */
  allowedRegistries: readonly string[];
  /** How long a release may take from its start until it is ready, as its proof measured it; without, as long as it likes. */
  maxReadySeconds?: number;
}

/** What the rules need to know beside the image. */
export interface Context extends Limits {
  /** The models that the stack verifies. */
  verified: readonly VerifiedModel[];
  /** What the proof of the release measured. Absent where that is not known, or not known yet. */
  readySeconds?: number;
  /** What becomes of the release's signature. Absent where that is not known yet, or where no FacecraftImage makes the release. */
  signing?: Signing;
}

export interface Signing {
  /** Whether the stack asks for it. */
  asked: boolean;
  /** Whether there is a resource that signs the release, and attaches its SBOM and its provenance. */
  attached: boolean;
}

export interface Rule {
  name: string;
  description: string;
  /** Which images it judges: releases, or every image that is built. */
  judges: "releases" | "builds";
  /** It only warns, unless a pack's config makes more of it. */
  isAdvisory?: true;
  /** It looks at other resources too, which may be known later than the image: only for a whole stack is it final. */
  needsStack?: true;
  /** What of an image it looks at; a value among them that is secret, or not known yet, leaves it undecided. */
  looksAt(image: ImageView, context: Context): readonly (Value | undefined)[];
  /** Says what is wrong with an image, one sentence each that tells what to do. Values not known yet are let through. */
  check(image: ImageView, context: Context): string[];
}

/** Where releases go unless the policy's config says otherwise; loopback is always allowed, because it leads nowhere. */
export const defaultRegistries = ["docker.io/djok"];

/** The registries that the environment names, separated by commas, or the default. */
export function allowedRegistries(env: NodeJS.ProcessEnv = process.env): string[] {
  const named = (env.FACECRAFT_ALLOWED_REGISTRIES ?? "").split(/[\s,]+/).filter((name) => name !== "");
  return named.length > 0 ? named : defaultRegistries;
}

/** What the environment decides. @throws ActionableError for what is no number of seconds */
export function limits(env: NodeJS.ProcessEnv = process.env): Limits {
  const given = env.FACECRAFT_MAX_READY_SECONDS ?? "";
  const maxReadySeconds = Number(given);
  if (given !== "" && !(maxReadySeconds > 0 && Number.isFinite(maxReadySeconds))) {
    throw new ActionableError(
      `FACECRAFT_MAX_READY_SECONDS is ${JSON.stringify(given)}; it must be a number of seconds above 0.`,
    );
  }
  return { allowedRegistries: allowedRegistries(env), ...(given !== "" && { maxReadySeconds }) };
}

const freeLabels: Record<string, RegExp> = {
  version: /^\d+\.\d+\.\d+/,
  revision: /^([0-9a-f]{40}|unversioned-)/,
  description: /\S/,
  "base.name": /\S/,
  "base.digest": digestPattern,
};

export const rules: readonly Rule[] = [
  {
    name: "no-latest-tag",
    description: "No image is tagged latest: a tag that means something else tomorrow cannot be rolled back to.",
    judges: "builds",
    looksAt: ({ tags }) => tags,
    check: (image) =>
      known(image.tags)
        .filter((tag) => tagOf(tag) === "latest" || tagOf(tag) === "")
        .map((tag) => `The tag ${tag} is, or means, :latest. Tag the image <version>-<variant>-<suffix> instead.`),
  },
  {
    name: "immutable-tag",
    description: "A release has a tag <version>-<variant>-<suffix>, which never comes to mean other bytes.",
    judges: "releases",
    looksAt: ({ tags, labels }) => [...tags, labels[label("version")]],
    check({ tags, labels, variant }) {
      const version = labels[label("version")];
      if (tags.some((tag) => typeof tag !== "string") || variant === undefined || typeof version !== "string") {
        return [];
      }
      const stem = `${tagStem({ version, variant })}-`;
      const isImmutable = (tag: string) =>
        tagOf(tag).startsWith(stem) && /^[0-9a-f]{8,}$/.test(tagOf(tag).slice(stem.length));
      const right = `none is ${stem}<at least 8 hex digits>. Add that tag, with the suffix of a random.RandomId`;
      return known(tags).some(isImmutable)
        ? []
        : [`Of the tags ${known(tags).join(", ") || "(there are none)"}, ${right}.`];
    },
  },
  {
    name: "labels",
    description: "A release says what it is: every OCI label, with the project's own values.",
    judges: "releases",
    looksAt: ({ labels }) => [...Object.keys(ownLabels), ...Object.keys(freeLabels)].map((key) => labels[label(key)]),
    check({ labels }) {
      const wrong = Object.entries(ownLabels)
        .filter(([key, right]) => differs(labels[label(key)], (is) => is === right))
        .map(([key, right]) => `The label ${label(key)} is ${shown(labels[label(key)])}; it must be "${right}".`);
      const empty = Object.entries(freeLabels)
        .filter(([key, right]) => differs(labels[label(key)], (is) => right.test(is)))
        .map(([key, right]) => `The label ${label(key)} is ${shown(labels[label(key)])}; it must match ${right}.`);
      return [...wrong, ...empty];
    },
  },
  {
    name: "pinned-models",
    description: "Each model's URL and sha256 pin are build args, and the pin is 64 hex digits.",
    judges: "builds",
    looksAt: ({ buildArgs }) => modelNames.flatMap((name) => [buildArgs[urlArg(name)], buildArgs[pinArg(name)]]),
    check: ({ buildArgs }) =>
      modelNames.flatMap((name) => {
        const { arg, title } = models[name];
        const url = buildArgs[`${arg}_URL`];
        const pin = buildArgs[`${arg}_SHA256`];
        return [
          ...(differs(url, (is) => is !== "")
            ? [`The build arg ${arg}_URL is ${shown(url)}; it must say where ${title} is.`]
            : []),
          ...(differs(pin, isSha256)
            ? [
                `The build arg ${arg}_SHA256 is ${shown(pin)}; it must be the pin of ${title}, 64 lower-case hex digits.`,
              ]
            : []),
        ];
      }),
  },
  {
    name: "verified-models",
    description: "The pins that an image is built with are those that ModelChecksum verifies, before it is released.",
    judges: "builds",
    needsStack: true,
    looksAt: ({ buildArgs }) => modelNames.map((name) => buildArgs[pinArg(name)]),
    check: (image, { verified }) =>
      modelNames.flatMap((name) => {
        const { arg, title } = models[name];
        const pin = image.buildArgs[`${arg}_SHA256`];
        const model = verified.find((model) => model.name === name);
        if (model === undefined) {
          return [`Nothing verifies ${title}: the stack has no ModelChecksum "${name}" that the image depends on.`];
        }
        const agree = typeof pin !== "string" || typeof model.sha256 !== "string" || pin === model.sha256;
        const both = `The build arg ${arg}_SHA256 is ${shown(pin)}, but ModelChecksum verified ${shown(model.sha256)}`;
        const early = isRelease(image) && image.waitsFor?.has(name) === false;
        return [
          ...(agree ? [] : [`${both}; give both the same pin of ${title}.`]),
          ...(early
            ? [
                `It does not wait until ${title} is verified: let the image depend on ModelChecksum "${name}" (dependsOn).`,
              ]
            : []),
        ];
      }),
  },
  {
    name: "torch-index",
    description: "torch comes from the index of the image's own variant.",
    judges: "builds",
    looksAt: ({ buildArgs }) => [buildArgs.TORCH_INDEX_URL],
    check({ buildArgs, variant, dockerfile }) {
      if (variant === undefined) {
        const known = variantNames.map((name) => variants[name].dockerfile).join(" and ");
        return [`The image is built from "${dockerfile}", which is no variant's Dockerfile; those are ${known}.`];
      }
      const url = buildArgs.TORCH_INDEX_URL;
      const { flavour, index } = variants[variant].torch;
      return differs(url, (is) => isIndexOf(flavour, is))
        ? [
            `The build arg TORCH_INDEX_URL is ${shown(url)}, but the ${variant} image needs an index of +${flavour} ` +
              `wheels, such as ${index}.`,
          ]
        : [];
    },
  },
  {
    name: "pinned-base",
    description: "An image stands on bases that are pinned by digest.",
    judges: "builds",
    looksAt: ({ buildArgs, variant }) => basesOf(variant).map(([, arg]) => buildArgs[arg]),
    check: ({ buildArgs, variant }) =>
      basesOf(variant).flatMap(([key, arg]) =>
        differs(buildArgs[arg], (is) => digestPattern.test(splitReference(is).digest ?? ""))
          ? [
              `The base ${arg} is ${shown(buildArgs[arg])}, which has no digest. Pin it: ` +
                `\`pulumi config set --path facecraft:baseImages.${key} <name>:<tag>@sha256:<digest>\`.`,
            ]
          : [],
      ),
  },
  {
    name: "no-secrets",
    description: "Build args and labels hold no secrets: everyone who can pull the image can read them.",
    judges: "builds",
    looksAt: ({ buildArgs, labels }) => [...Object.values(buildArgs), ...Object.values(labels)],
    check: ({ buildArgs, labels }) =>
      [...describe("build arg", buildArgs), ...describe("label", labels)]
        .filter(([, key, is]) => is === secret || (typeof is === "string" && (looksSecret(key, is) || hasSecret(is))))
        .map(
          ([kind, key]) =>
            `The ${kind} ${key} holds a secret, which would be readable in the image. Pass it as a build secret.`,
        ),
  },
  {
    name: "kept-releases",
    description: "What is pushed has retainOnDelete: a deploy stack may run it.",
    judges: "releases",
    looksAt: () => [],
    check: ({ publishes, retainOnDelete }) =>
      publishes && retainOnDelete === false
        ? ["The image is pushed without retainOnDelete: destroying or replacing it would delete what others may run."]
        : [],
  },
  {
    name: "seen-by-previews",
    description: "Nothing is set that makes previews skip the build.",
    judges: "builds",
    looksAt: () => [],
    check: ({ blindFlags }) =>
      blindFlags.map(
        (flag) =>
          `\`${flag}: true\` makes every preview skip the build. ` +
          `Leave it out and export to the registry: exports: [{ raw: "type=registry,..." }].`,
      ),
  },
  {
    name: "allowed-registries",
    description: "Images and build caches are pushed to allowed registries only.",
    judges: "builds",
    looksAt: ({ tags, cacheRefs }) => [...tags, ...cacheRefs],
    check: ({ tags, cacheRefs }, { allowedRegistries }) => {
      const refused = known([...tags, ...cacheRefs]).filter((ref) => !isAllowed(ref, allowedRegistries));
      return refused.map((ref) => `${ref} is not in an allowed registry; those are ${allowedRegistries.join(", ")}.`);
    },
  },
  {
    name: "proven-on-gpu",
    description: "A release for GPUs was proven on one, and its label says on which.",
    judges: "releases",
    isAdvisory: true,
    looksAt: ({ labels, variant }) => (isForGpus(variant) ? [labels[gpuLabel]] : []),
    check: ({ labels, variant }) =>
      isForGpus(variant) && differs(labels[gpuLabel], (is) => is !== "" && is !== notProven)
        ? [
            `The label ${gpuLabel} is ${shown(labels[gpuLabel])}: nobody has seen this image compute on a GPU. Build it with a ` +
              "facecraft:builder that has one, and facecraft:gpuProof auto or required.",
          ]
        : [],
  },
  {
    name: "ready-in-time",
    description: "A release is ready within maxReadySeconds, where the policy's config has them.",
    judges: "releases",
    needsStack: true,
    looksAt: (_, { maxReadySeconds, readySeconds }) =>
      maxReadySeconds !== undefined && readySeconds === undefined ? [unknown] : [],
    check: (_, { maxReadySeconds = Number.POSITIVE_INFINITY, readySeconds = 0 }) =>
      readySeconds > maxReadySeconds
        ? [
            `In its proof the image was ready after ${readySeconds} s, and maxReadySeconds is ${maxReadySeconds}. Find out what ` +
              "its start waits for, or allow more.",
          ]
        : [],
  },
  {
    name: "signed-release",
    description: "A release of FacecraftImage that leaves this machine is signed.",
    judges: "releases",
    isAdvisory: true,
    needsStack: true,
    looksAt: () => [],
    check: ({ publishes, tags }, { signing }) =>
      signing?.asked === false && publishes && !known(tags).every(isOnThisMachine)
        ? [
            "The image is published without a signature: nobody who pulls it can tell whose it is. Set facecraft:signing " +
              "(docs/signing.md).",
          ]
        : [],
  },
  {
    name: "sbom-attached",
    description:
      "Where facecraft:signing is set, a ReleaseSignature signs the release, and attaches its SBOM and its provenance.",
    judges: "releases",
    needsStack: true,
    looksAt: () => [],
    check: (_, { signing }) =>
      signing?.asked && !signing.attached
        ? [
            "facecraft:signing is set, but the stack has no ReleaseSignature: the image would be released without a signature, an " +
              "SBOM and a provenance. Let FacecraftImage make one.",
          ]
        : [],
  },
];

export interface Violation {
  rule: string;
  image: string;
  message: string;
  mandatory: boolean;
}

/** Applies every rule to an image. */
export function judge(image: ImageView, context: Context): Violation[] {
  return rules
    .filter((rule) => applies(rule, image))
    .flatMap((rule) =>
      rule
        .check(image, context)
        .map((message) => ({ rule: rule.name, image: image.name, message, mandatory: rule.isAdvisory !== true })),
    );
}

export function applies(rule: Rule, image: ImageView): boolean {
  return rule.judges === "builds" || isRelease(image);
}

/** Whether a rule cannot see all that it judges, so that "no violation" does not mean that it holds. */
export function isUndecided(rule: Rule, image: ImageView, context: Context): boolean {
  return rule.looksAt(image, context).some((value) => typeof value === "symbol");
}

function known(values: readonly Value[]): string[] {
  return values.filter((value) => typeof value === "string");
}

/** Absent is wrong, unknown is not. */
function differs(value: Value | undefined, right: (is: string) => boolean): boolean {
  return value === undefined || (typeof value === "string" && !right(value));
}

function shown(value: Value | undefined): string {
  if (value === undefined) {
    return "not set";
  }
  if (value === unknown) {
    return "not known yet";
  }
  return value === secret ? "a secret" : `"${String(value)}"`;
}

function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Whether the words of an index's URL name this flavour of torch, and no other. */
function isIndexOf(flavour: string, url: string): boolean {
  const words = url.split(/[^a-z0-9]+/i);
  const isFlavour = (word: string) => word === "cpu" || /^cu\d+$/.test(word) || /^rocm/.test(word);
  return words.includes(flavour) && words.every((word) => word === flavour || !isFlavour(word));
}

function isForGpus(variant: ImageView["variant"]): boolean {
  return variant !== undefined && variants[variant].device === "cuda";
}

function basesOf(variant: ImageView["variant"]): [string, string][] {
  return Object.entries(variant ? variants[variant].bases : {});
}

const urlArg = (name: ModelName) => `${models[name].arg}_URL`;
const pinArg = (name: ModelName) => `${models[name].arg}_SHA256`;

function describe(kind: string, values: Readonly<Record<string, Value>>): [string, string, Value][] {
  return Object.entries(values).map(([key, value]) => [kind, key, value]);
}

function tagOf(reference: string): string {
  return splitReference(reference).tag ?? "";
}

function isOnThisMachine(reference: string): boolean {
  return isLoopback(locate(splitReference(reference).repository).registry);
}

function isAllowed(reference: string, allowed: readonly string[]): boolean {
  const { repository } = splitReference(reference);
  const within = `${fullName(repository)}/`;
  return isOnThisMachine(reference) || allowed.some((prefix) => within.startsWith(prefix.replace(/\/?$/, "/")));
}
