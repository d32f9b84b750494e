// What is stated of an image against what the image itself says: pure comparisons, a sentence for each difference.
import { isDeepStrictEqual } from "node:util";
import type { ImageFacts } from "../registry/facts.ts";
import { compareArchitecture } from "../registry/published.ts";
import type { ProofRecord } from "../registry/record.ts";
import { shown } from "./compareSbom.ts";
import type { ParsedProvenance } from "./provenance.ts";

/** What somebody says of an image. What is absent is not said. */
export interface Claims {
  variant?: string;
  version?: string;
  /** Commit of the application. */
  revision?: string;
  /** sha256 of each model, by its path in the image. */
  models?: Readonly<Record<string, string>>;
  proof?: ClaimedProof;
}

/** What is said of the proof, in the words of the image's record; null is that the record does not say. */
export type ClaimedProof = {
  [Key in "torch" | "cuda" | "onnxruntime" | "boot" | "portrait" | "network" | "gpu"]?:
    | ProofRecord[Key]
    | null
    | undefined;
} & {
  /** Paths, in any order. */
  modelsOpened?: readonly string[] | undefined;
};

/** Variant of the image by the torch in it; undefined for a torch that is of none. */
export function variantOf({ record }: ImageFacts, flavours: Readonly<Record<string, string>>): string | undefined {
  const flavour = record.torch.split("+")[1] ?? "";
  return Object.keys(flavours).find((name) => flavours[name] === flavour);
}

/** An image's label, of those that OCI has named. */
export function labelOf({ labels }: ImageFacts, name: string): string | undefined {
  return labels[`org.opencontainers.image.${name}`];
}

/** Compares what a signed provenance states with the image: commit, version, variant, base, models, and the whole proof. */
export function compareProvenance(
  stated: ParsedProvenance,
  facts: ImageFacts,
  flavours: Readonly<Record<string, string>>,
): string[] {
  const { record } = facts;
  const [baseName, baseDigest] = [labelOf(facts, "base.name"), labelOf(facts, "base.digest")];
  const hasBase = stated.bases.some(({ name, digest }) => name === baseName && digest === baseDigest);
  return [
    ...differences("The provenance states", "the image", [
      ["commit", stated.revision, labelOf(facts, "revision")],
      ["version", stated.version, labelOf(facts, "version")],
      ["variant", stated.variant, variantOf(facts, flavours)],
    ]),
    ...(hasBase
      ? []
      : [
          `The provenance states the base ${names(stated.bases.map(({ name, digest }) => `${name}@${digest}`))}, but the image says ` +
            `${baseName}@${baseDigest}.`,
        ]),
    ...compareModels(
      "The provenance states",
      Object.fromEntries(stated.models.map(({ file, sha256 }) => [file, sha256])),
      record.models,
    ),
    ...compareRecords("The provenance states", { ...stated.proof }, { ...record }),
  ];
}

/**
 * Compares what a provenance says in one place with what it says in another: the digest of its source with the commit, and that of
 * its outcome with the image.
 *
 * @param predicate as it is signed
 * @param expected what the same inputs make of this image; one of another version of this program may say less
 */
export function compareStatement(
  predicate: unknown,
  expected: unknown,
  { source, revision }: ParsedProvenance,
): string[] {
  const [, named = revision] = /#([0-9a-f]{40})(?::.*)?$/.exec(source) ?? [];
  // Where the image was pushed: a copy elsewhere is the same image.
  const isPlace = (path: readonly string[]) => /^runDetails\.byproducts\.\d+\.uri$/.test(path.join("."));
  const found = contradictions(predicate, expected, []).filter(({ path }) => !isPlace(path));
  return [
    ...found.map(
      ({ path, is, should }) =>
        `The provenance states ${shown(is)} as ${path.join(".")}, but by what it says elsewhere and by the image it must be ${shown(should)}.`,
    ),
    ...differences("The provenance states", "its source", [["commit", revision, named]]),
  ];
}

function contradictions(
  is: unknown,
  should: unknown,
  path: readonly string[],
): { path: readonly string[]; is: unknown; should: unknown }[] {
  if (isObject(is) && isObject(should) && Array.isArray(is) === Array.isArray(should)) {
    return Object.entries(is).flatMap(([key, value]) => contradictions(value, should[key], [...path, key]));
  }
  return is === should ? [] : [{ path, is, should }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Compares what is said elsewhere, such as in the outputs of a stack, with the image. */
export function compareClaims(
  { variant, version, revision, models, proof = {} }: Claims,
  facts: ImageFacts,
  flavours: Readonly<Record<string, string>>,
): string[] {
  const said = Object.entries({ variant, version, commit: revision }).filter(([, value]) => value !== undefined);
  const is: Record<string, string | undefined> = {
    variant: variantOf(facts, flavours),
    version: labelOf(facts, "version"),
    commit: labelOf(facts, "revision"),
  };
  const { record } = facts;
  const keys = (Object.keys(proof) as (keyof ClaimedProof)[]).filter((key) => proof[key] !== undefined);
  const pick = (from: ClaimedProof | ProofRecord) => Object.fromEntries(keys.map((key) => [key, from[key] ?? null]));
  return [
    ...differences(
      "The stack's outputs say",
      "the image",
      said.map(([what, value]) => [what, value, is[what]]),
    ),
    ...(models ? compareModels("The stack's outputs say", models, record.models) : []),
    ...compareRecords("The stack's outputs say", pick(proof), pick(record)),
  ];
}

/** Compares what an image has in it with what its proof found. Images of earlier versions do not say what they have. */
export function compareContents({ contents, record, platform }: ImageFacts): string[] {
  const wrongMachine = record.architecture === undefined ? [] : compareArchitecture(platform, record);
  if (contents === undefined) {
    return wrongMachine;
  }
  const models = Object.fromEntries(contents.models.map(({ file, sha256 }) => [file, sha256]));
  const packages = Object.fromEntries(contents.python.map(({ name, version }) => [normal(name), version]));
  const proven = Object.fromEntries(Object.entries(record.packages).map(([name, version]) => [normal(name), version]));
  const wrong = Object.keys({ ...packages, ...proven }).filter((name) => packages[name] !== proven[name]);
  return [
    ...wrongMachine,
    ...compareModels("The image's list of contents says", models, record.models),
    ...wrong.map(
      (name) =>
        `The image's list of contents says ${name} ${packages[name] ?? "is not there"}, but its proof found ${proven[name] ?? "none"}.`,
    ),
  ];
}

function compareModels(
  who: string,
  said: Readonly<Record<string, string>>,
  is: Readonly<Record<string, string>>,
): string[] {
  return Object.keys({ ...said, ...is })
    .filter((file) => said[file] !== is[file])
    .map(
      (file) =>
        `${who} that the model ${file} is ${said[file] ?? "not there"}, but the image's proof found ${is[file] ?? "none"}.`,
    );
}

/** Compares records of a proof, key by key. The order of a list in them means nothing. */
function compareRecords(who: string, said: Record<string, unknown>, is: Record<string, unknown>): string[] {
  return Object.keys({ ...said, ...is })
    .filter((key) => !isDeepStrictEqual(plain(said[key]), plain(is[key])))
    .map(
      (key) =>
        `${who} of the proof that ${key} is ${shown(said[key])}, but the image's own record says ${shown(is[key])}.`,
    );
}

function differences(who: string, whose: string, facts: [string, string | undefined, string | undefined][]): string[] {
  return facts
    .filter(([, said, is]) => said !== is)
    .map(([what, said, is]) => `${who} the ${what} ${said ?? "nothing"}, but ${whose} says ${is ?? "nothing"}.`);
}

/** As JSON has it, with lists sorted. */
function plain(value: unknown): unknown {
  return Array.isArray(value) ? value.map((entry) => JSON.stringify(entry)).sort() : value;
}

function names(list: readonly string[]): string {
  return list.length > 0 ? list.join(", ") : "nothing";
}

/** A Python package's name as indexes compare it: https://packaging.python.org/en/latest/specifications/name-normalization/ */
function normal(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}
