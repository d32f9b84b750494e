// How an image came about, in the words of SLSA: https://slsa.dev/spec/v1.1/provenance
import * as v from "valibot";
import type { ImageFacts } from "../registry/facts.ts";
import type { ProofRecord } from "../registry/record.ts";
import { splitReference } from "../registry/references.ts";
import { AttestError } from "./errors.ts";
import { imagePurl } from "./purl.ts";

/** What the program knows of a release: all that decides what is in the image. No secret is in it. */
export interface ProvenanceInputs {
  variant: string;
  version: string;
  /** Of the application: a commit, or what stands for one where it has none. */
  revision: string;
  /** The application's URL without a credential, or "." for a folder. */
  source: string;
  dockerfile: { path: string; sha256: string };
  /** Of all scripts of the Dockerfile. */
  scriptsSha256: string;
  /** A secret one is named, with {@link secretValue}. */
  buildArgs: Record<string, string>;
  /** Images that the build begins with. */
  bases: { name: string; digest: string }[];
  /** Models by their pins. */
  models: { name: string; file: string; url: string; sha256: string }[];
  /** `os/architecture` of each. */
  platforms: string[];
  /** Name of the buildx builder; empty for the one that is used by default. */
  builder: string;
  /** This project: its version, and its commit as far as it is known. */
  program: { version: string; commit: string };
}

/** What stands in the place of a value that may not be told. */
export const secretValue = "(secret)";

/** What the parameters below mean: this document. */
export const buildType = "https://github.com/djok/facecraft/build/image@v1";

/** https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md */
export interface Resource {
  name?: string;
  uri?: string;
  digest?: Record<string, string>;
  mediaType?: string;
  annotations?: Record<string, string>;
}

/** The predicate of SLSA's provenance, version 1, as far as this project fills it. */
export interface Provenance {
  buildDefinition: {
    buildType: string;
    externalParameters: {
      variant: string;
      version: string;
      revision: string;
      source: string;
      platforms: string[];
      buildArgs: Record<string, string>;
    };
    internalParameters: { proof: ProofRecord };
    resolvedDependencies: Resource[];
  };
  runDetails: {
    builder: { id: string; version: Record<string, string> };
    byproducts: Resource[];
  };
}

/** The provenance of an image: what the program asked for, and what the proof found. The same bytes for the same input. */
export function provenanceOf(inputs: ProvenanceInputs, facts: ImageFacts): Provenance {
  const { variant, version, revision, source, platforms, buildArgs, program } = inputs;
  return {
    buildDefinition: {
      buildType,
      externalParameters: {
        variant,
        version,
        revision,
        source,
        platforms: platforms.toSorted(),
        buildArgs: Object.fromEntries(Object.entries(buildArgs).sort(byName)),
      },
      internalParameters: { proof: facts.record },
      resolvedDependencies: [
        resource("source", { ...(source !== "." && { uri: source }), ...commit(revision), name: "app" }),
        resource("dockerfile", { name: inputs.dockerfile.path, digest: { sha256: inputs.dockerfile.sha256 } }),
        resource("scripts", { name: "docker/scripts", digest: { sha256: inputs.scriptsSha256 } }),
        ...inputs.bases.map(({ name, digest }) => {
          const { repository, tag = "" } = splitReference(name);
          return resource("base", { name, uri: imagePurl(repository, digest, { tag }), digest: digestSet(digest) });
        }),
        ...inputs.models.map(({ name, file, url, sha256 }) =>
          resource("model", { name, uri: url, digest: { sha256 } }, { file }),
        ),
        resource("program", { name: "facecraft-images", ...commit(program.commit) }, program),
      ],
    },
    runDetails: {
      builder: { id: builderId(inputs.builder), version: { "facecraft-images": program.version } },
      byproducts: [
        {
          name: "image manifest",
          uri: imagePurl(facts.repository, facts.manifestDigest),
          digest: digestSet(facts.manifestDigest),
        },
      ],
    },
  };
}

const sha256 = v.object({ sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "is no sha256")) });
const strings = v.record(v.string(), v.string());

const ProofSchema = v.looseObject({
  torch: v.string(),
  cuda: v.nullable(v.string()),
  models: strings,
  packages: strings,
  boot: v.picklist(["passed", "off"]),
});

const ResourceSchema = v.looseObject({
  name: v.optional(v.string()),
  uri: v.optional(v.string()),
  digest: v.optional(strings),
  annotations: v.optional(v.record(v.string(), v.unknown())),
});

const PredicateSchema = v.object({
  buildDefinition: v.object({
    buildType: v.literal(buildType),
    externalParameters: v.object({
      variant: v.string(),
      version: v.string(),
      revision: v.string(),
      source: v.string(),
      platforms: v.array(v.string()),
      buildArgs: strings,
    }),
    internalParameters: v.object({ proof: ProofSchema }),
    resolvedDependencies: v.array(ResourceSchema),
  }),
  runDetails: v.object({ builder: v.object({ id: v.string() }) }),
});

const kinds = {
  source: v.looseObject({}),
  dockerfile: v.object({ name: v.string(), digest: sha256 }),
  scripts: v.object({ digest: sha256 }),
  base: v.object({ name: v.string(), digest: sha256 }),
  model: v.object({
    name: v.string(),
    uri: v.string(),
    digest: sha256,
    annotations: v.object({ file: v.string() }),
  }),
  program: v.object({ annotations: v.object({ version: v.string(), commit: v.string() }) }),
};

type Kind = keyof typeof kinds;

/** What a provenance says, taken apart again. */
export interface ParsedProvenance extends ProvenanceInputs {
  proof: ProofRecord;
}

/**
 * Takes a provenance of this project apart. Who signed it has to be asked before.
 *
 * @param predicate as {@link provenanceOf} makes it, parsed from JSON
 * @throws AttestError for anything else, with what is wrong and where
 */
export function parseProvenance(predicate: unknown): ParsedProvenance {
  const {
    buildDefinition: { externalParameters, internalParameters, resolvedDependencies },
    runDetails,
  } = checked(PredicateSchema, predicate, "");
  const all = <K extends Kind>(kind: K): v.InferOutput<(typeof kinds)[K]>[] =>
    resolvedDependencies.flatMap((found, index) =>
      found.annotations?.kind === kind
        ? [checked(kinds[kind], found, `buildDefinition.resolvedDependencies.${index}`)]
        : [],
    );
  const one = <K extends Kind>(kind: K): v.InferOutput<(typeof kinds)[K]> => {
    const [first, ...others] = all(kind);
    if (first === undefined || others.length > 0) {
      throw new AttestError(
        `The provenance names ${others.length === 0 ? "no" : "more than one"} ${kind} among its dependencies; it must be one.`,
      );
    }
    return first;
  };
  const dockerfile = one("dockerfile");
  const { version, commit } = one("program").annotations;
  return {
    ...externalParameters,
    proof: internalParameters.proof as unknown as ProofRecord,
    dockerfile: { path: dockerfile.name, sha256: dockerfile.digest.sha256 },
    scriptsSha256: one("scripts").digest.sha256,
    bases: all("base").map(({ name, digest }) => ({ name, digest: `sha256:${digest.sha256}` })),
    models: all("model").map(({ name, uri, digest, annotations }) => ({
      name,
      file: annotations.file,
      url: uri,
      sha256: digest.sha256,
    })),
    builder: builderName(runDetails.builder.id),
    program: { version, commit },
  };
}

function checked<S extends v.GenericSchema>(schema: S, value: unknown, within: string): v.InferOutput<S> {
  const { issues, output } = v.safeParse(schema, value);
  if (issues) {
    const [{ message, path = [] }] = issues;
    const where = [within, ...path.map(({ key }) => String(key))].filter(Boolean).join(".");
    throw new AttestError(
      `The provenance is none of this project: ${where || "the whole"}: ${message.replace(/\.$/, "")}.`,
    );
  }
  return output;
}

function resource(kind: Kind, { name, ...rest }: Resource, annotations: Record<string, string> = {}): Resource {
  return { ...(name && { name }), ...rest, annotations: { kind, ...annotations } };
}

/** The digest of a commit; of what is none, such as a folder that differs from its commit, there is no digest. */
function commit(id: string): { digest?: Record<string, string> } {
  return /^[0-9a-f]{40}$/.test(id) ? { digest: { gitCommit: id } } : {};
}

function digestSet(digest: string): Record<string, string> {
  const [algorithm = "", hex = ""] = digest.split(":");
  return { [algorithm]: hex };
}

/** SLSA wants a URI. */
function builderId(name: string): string {
  return `buildx:${encodeURIComponent(name)}`;
}

function builderName(id: string): string {
  try {
    return decodeURIComponent(id.replace(/^buildx:/, ""));
  } catch {
    return id;
  }
}

function byName([one]: [string, string], [other]: [string, string]): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
