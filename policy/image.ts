import { type Variant, variantNames, variants } from "../plan/variants.ts";

/** A value that a preview cannot know yet. */
export const unknown: unique symbol = Symbol("unknown");

/** A value that Pulumi keeps secret. */
export const secret: unique symbol = Symbol("secret");

export type Value = string | typeof unknown | typeof secret;

/** An image as a program asks for it, in plain values: what every rule looks at. */
export interface ImageView {
  name: string;
  /** Of its Dockerfile; undefined for a Dockerfile of nobody's. */
  variant: Variant | undefined;
  dockerfile: string;
  buildArgs: Readonly<Record<string, Value>>;
  labels: Readonly<Record<string, Value>>;
  tags: readonly Value[];
  /** Where it and its cache are pushed, beside its tags: repositories, with or without a tag. */
  cacheRefs: readonly Value[];
  /** Whether an update pushes it. */
  publishes: boolean;
  /** Flags with which docker-build skips the build on every preview. */
  blindFlags: readonly string[];
  /** Undefined where this cannot be seen: a policy pack is not told. */
  retainOnDelete: boolean | undefined;
  /** Names of the ModelChecksums that it depends on. Undefined where this cannot be seen: only a pack is told. */
  waitsFor?: ReadonlySet<string>;
}

/** A model as ModelChecksum verifies it before an image is released. */
export interface VerifiedModel {
  name: string;
  sha256: Value;
}

/** Reads the inputs of a `docker-build:index:Image`. Images without tags are made on the way to a release. */
export function viewImage(name: string, inputs: Inputs, retainOnDelete?: boolean): ImageView {
  const dockerfile = text(fields(inputs.dockerfile).location);
  const exported = list(inputs.exports).map(fields);
  return {
    name,
    dockerfile,
    variant: variantNames.find((variant) => variants[variant].dockerfile === dockerfile),
    buildArgs: values(inputs.buildArgs),
    labels: values(inputs.labels),
    tags: list(inputs.tags).map(value),
    cacheRefs: list(inputs.cacheTo).map((cache) => value(fields(fields(cache).registry).ref ?? "")),
    publishes: inputs.push === true || exported.some(pushes),
    blindFlags: ["push", "load", "exec"].filter((flag) => inputs[flag] === true),
    retainOnDelete,
  };
}

export type Inputs = Readonly<Record<string, unknown>>;

/** Whether an image is a release: what has a tag can be run by others. */
export function isRelease(image: ImageView): boolean {
  return image.publishes || image.tags.length > 0;
}

function pushes(output: Inputs): boolean {
  const raw = text(output.raw);
  const structured = fields(output.image).push === true || fields(output.docker).push === true;
  return output.registry !== undefined || structured || /(^|,)(type=registry|push=true)(,|$)/.test(raw);
}

function values(of: unknown): Record<string, Value> {
  if (of === unknown || of === secret) {
    // Of a map that is hidden as a whole, no value is absent: each is hidden.
    return new Proxy({}, { get: () => of });
  }
  const given = Object.entries(fields(of)).filter(([, item]) => item !== undefined);
  return Object.fromEntries(given.map(([key, item]) => [key, value(item)]));
}

/** A value of an input, as text where it is known. */
export function value(of: unknown): Value {
  return of === unknown || of === secret ? of : String(of);
}

function fields(of: unknown): Inputs {
  return typeof of === "object" && of !== null ? (of as Inputs) : {};
}

function list(of: unknown): unknown[] {
  return Array.isArray(of) ? of : of === unknown || of === secret ? [of] : [];
}

function text(of: unknown): string {
  return typeof of === "string" ? of : "";
}
