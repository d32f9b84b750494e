import * as v from "valibot";
import { ActionableError } from "../artifacts/errors.ts";
import { judge } from "../plan/faults.ts";
import { isRecord } from "../plan/isRecord.ts";
import { matching, object, oneOf, positive, recordOf, text } from "../plan/schema.ts";
import { shown } from "../plan/shown.ts";
import { variantNames } from "../plan/variants.ts";
import { durationPattern, type Healthcheck, seconds } from "../registry/healthcheck.ts";

import { digestPattern, fullName, nameOf, pinnedImagePattern, splitReference } from "../registry/references.ts";

const aString = text("a string");
const aDuration = matching(durationPattern, "a duration such as 30s");
const aCount = positive("a number above 0");

const healthcheck: v.GenericSchema<unknown, Healthcheck> = object({
  path: matching(/^\//, "a path such as /ready"),
  port: aCount,
  interval: aDuration,
  timeout: aDuration,
  startPeriod: aDuration,
  retries: aCount,
});

const modelFile = object({ file: aString, url: aString, sha256: aString, sizeBytes: aCount });

/** What an image stack need not say: earlier versions do not, and nothing was pushed without. */
const maybe = <const Schema extends v.GenericSchema>(schema: Schema) => v.nullish(schema);

const proof = object({
  torch: maybe(aString),
  cuda: maybe(aString),
  onnxruntime: maybe(aString),
  boot: maybe(oneOf(["passed", "off"])),
  portrait: maybe(oneOf(["passed", "off"])),
  /** Keys of `models`. */
  modelsOpened: maybe(v.array(aString, "a list")),
  network: maybe(oneOf(["silent", "asked", "off"])),
  gpu: maybe(object({ name: aString, capability: aString, driver: aString, provider: aString })),
  readySeconds: maybe(aCount),
  peakMemoryBytes: maybe(aCount),
});

/** The outputs that an image stack hands over: what each must be. */
const handedOver = v.object({
  /** `repository:tag@sha256:...`, the image to run. */
  imageRef: matching(pinnedImagePattern, "pinned by digest (repository:tag@sha256:<64 hex digits>)"),
  digest: matching(digestPattern, "sha256:<64 hex digits>"),
  tags: v.array(text("a list of tags"), "a list"),
  variant: oneOf(variantNames),
  version: aString,
  /** Commit of the application. */
  revision: aString,
  torchIndexUrl: aString,
  labels: recordOf(/./, aString, "an object"),
  healthcheck,
  models: recordOf(/./, modelFile, "an object"),
  /** What was proven of it. Stacks of earlier versions do not say, and are deployed all the same. */
  proof: v.optional(proof, {}),
});

/** What an image stack hands over: its outputs, checked. */
export type Release = v.InferOutput<typeof handedOver>;

/** Outputs that cannot be deployed. Says all that is wrong with them, one sentence each. */
export class ReleaseError extends ActionableError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Checks a stack's outputs. A deploy stack hands on what it has proven as one output, `release`.
 *
 * @param stack name of the stack, for messages
 * @throws ReleaseError
 */
export function parseRelease(outputs: Readonly<Record<string, unknown>>, stack: string): Release {
  const given = isRecord(outputs.release) ? outputs.release : outputs;
  const keys = Object.keys(handedOver.entries).filter((key) => key !== "proof");
  const absent = keys.filter((key) => given[key] === undefined);
  if (absent.length > 0) {
    const update = "it was last updated by another version of the image program. Run `pulumi up` there";
    throw new ReleaseError([
      absent.length === keys.length
        ? `The stack ${stack} has none of the outputs of a Facecraft image stack. Is it one, and has \`pulumi up\` succeeded there?`
        : `The stack ${stack} has no output ${absent.join(", ")}: ${update}.`,
    ]);
  }
  const { imageRef, digest } = given;
  if (imageRef === "" && digest === "") {
    throw new ReleaseError([
      `The stack ${stack} cannot be deployed: it has published nothing (facecraft:push is false). Publish a release, then deploy it.`,
    ]);
  }
  const { output, faults } = judge(handedOver, given);
  const problems = faults.map(
    ({ path, value, right }) => `${path.join(".")} is ${shown(value)}, but it must be ${right}`,
  );
  const isFine = (key: string) => !faults.some(({ path }) => path[0] === key);
  if (isFine("imageRef") && isFine("digest") && !String(imageRef).endsWith(`@${digest}`)) {
    const reason = "a tag alone can come to mean another image";
    problems.push(`imageRef is ${shown(imageRef)}, but it must end in @${digest}, its digest: ${reason}`);
  }
  if (output === undefined || problems.length > 0) {
    throw new ReleaseError(problems.map((problem) => `The stack ${stack} cannot be deployed: ${problem}.`));
  }
  return output;
}

/**
 * Another release of the same repository, to go back to. Its version is read from its tag; what only its own stack outputs
 * would tell (models, labels, proof) is left empty.
 */
export function asImage(release: Release, imageRef: string): Release {
  const { repository } = splitReference(release.imageRef);
  const { tag = "", digest = "", ...other } = splitReference(imageRef);
  const version = new RegExp(`^(.+)-${release.variant}-[0-9a-f]+$`).exec(tag)?.[1];
  if (!version || !pinnedImagePattern.test(imageRef) || fullName(other.repository) !== fullName(repository)) {
    const wanted = `${repository}:<version>-${release.variant}-<suffix>@sha256:<digest>`;
    throw new ReleaseError([
      `facecraft-deploy:imageRef is "${imageRef}", which is no release of this image; it must be ${wanted}.`,
    ]);
  }
  return {
    ...release,
    imageRef,
    digest,
    version,
    revision: "unknown",
    tags: [nameOf(imageRef)],
    labels: {},
    models: {},
    proof: {},
  };
}

/** How long an image may take until its health check passes, in seconds. */
export function secondsToReady({ interval, timeout, startPeriod, retries }: Healthcheck): number {
  return Math.ceil(seconds(startPeriod) + retries * (seconds(interval) + seconds(timeout)));
}
