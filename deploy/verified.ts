import { type Claims, labelOf } from "../attest/compare.ts";
import { CosignError, type Trust } from "../attest/cosign.ts";
import { VerifyError, verifyRelease } from "../attest/verify.ts";
import { models as knownModels, modelNames } from "../plan/models.ts";
import { proofOutput } from "../plan/proven.ts";
import { flavours } from "../plan/variants.ts";
import type { ImageFacts } from "../registry/facts.ts";
import { type Release, ReleaseError } from "./release.ts";

/**
 * Makes sure that a release has the signature, and that what its stack hands over of it is what is signed.
 *
 * @throws ReleaseError, a sentence for each thing that does not hold
 */
export async function verified(release: Release, trust: Trust): Promise<Release> {
  await verify(release, trust, claimsOf(release));
  return release;
}

/** The same of a release that is only named: what no stack hands over of it is taken from the image, whose signature holds. */
export async function verifiedImage(release: Release, trust: Trust): Promise<Release> {
  // Its version was read from a tag, where there can be no "+".
  const facts = await verify(release, trust, { variant: release.variant, version: release.version.replace("_", "+") });
  return known(release, facts);
}

async function verify({ imageRef }: Release, trust: Trust, claims: Claims): Promise<ImageFacts> {
  try {
    return (await verifyRelease(imageRef, { trust, flavours, claims })).facts;
  } catch (error) {
    const problems =
      error instanceof VerifyError ? error.problems : error instanceof CosignError ? [error.message] : undefined;
    if (problems === undefined) {
      throw error;
    }
    throw new ReleaseError(problems.map((problem) => `${imageRef} cannot be deployed: ${problem}`));
  }
}

/** What a release is said to be, in the words of the image itself. */
export function claimsOf({ variant, version, revision, models, proof }: Release): Claims {
  const { torch, cuda, onnxruntime, boot, portrait, network, gpu, modelsOpened } = proof;
  const opened = modelsOpened?.map((name) => models[name]?.file ?? name);
  return {
    variant,
    version,
    revision,
    models: Object.fromEntries(Object.values(models).map(({ file, sha256 }) => [file, sha256])),
    proof: { torch, cuda, onnxruntime, boot, portrait, network, gpu, modelsOpened: opened },
  };
}

/** A release with what its image says: commit, labels, models and proof. */
export function known(release: Release, facts: ImageFacts): Release {
  const { labels, contents } = facts;
  const files = contents?.models ?? [];
  const models = modelNames.flatMap((name) => {
    const found = files.find(({ file }) => file === knownModels[name].file);
    return found ? [[name, found] as const] : [];
  });
  return {
    ...release,
    revision: labelOf(facts, "revision") ?? release.revision,
    labels,
    models: Object.fromEntries(
      models.map(([name, { file, url, sha256, sizeBytes }]) => [name, { file, url, sha256, sizeBytes }]),
    ),
    proof: proofOutput(facts),
  };
}
