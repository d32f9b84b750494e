import * as pulumi from "@pulumi/pulumi";
import type { Trust } from "../attest/cosign.ts";
import { asImage, parseRelease, type Release, ReleaseError } from "./release.ts";
import { type RequirementName, unproven, unprovenImage } from "./requirements.ts";

export interface FacecraftReleaseOptions extends pulumi.CustomResourceOptions {
  /** Whose signature the release must have; default: nobody's, and nothing of it is verified. */
  verify?: Trust | undefined;
}

/**
 * A published Facecraft image, for any Pulumi program that runs it:
 *
 *     const release = FacecraftRelease.fromStack("organization/facecraft/cpu");
 *     new Something("facecraft", { image: release.imageRef });
 */
export class FacecraftRelease {
  /** Everything that the image stack hands over. */
  readonly outputs: pulumi.Output<Release>;
  /** `repository:tag@sha256:...`. */
  readonly imageRef: pulumi.Output<string>;
  readonly digest: pulumi.Output<string>;
  readonly variant: pulumi.Output<"cpu" | "gpu">;
  readonly healthcheck: pulumi.Output<Release["healthcheck"]>;
  /** What was proven of it before it was published; without any key for a stack of an earlier version. */
  readonly proof: pulumi.Output<Release["proof"]>;

  private constructor(outputs: pulumi.Output<Release>) {
    this.outputs = outputs;
    this.imageRef = outputs.apply(({ imageRef }) => imageRef);
    this.digest = outputs.apply(({ digest }) => digest);
    this.variant = outputs.apply(({ variant }) => variant);
    this.healthcheck = outputs.apply(({ healthcheck }) => healthcheck);
    this.proof = outputs.apply(({ proof }) => proof);
  }

  /**
   * Takes over the release of an image stack, or the one that a deploy stack has proven. The update fails with a sentence
   * for each output that is missing, of another shape, or not pinned by digest, for all that is required and not proven, and,
   * with `verify`, for all that is not signed, or is not what was signed.
   *
   * @param stack full name of the stack, for example `organization/facecraft/cpu`
   * @param imageRef another release of the same image to go back to; empty for the stack's own
   * @param required what must have been proven
   */
  static fromStack(
    stack: string,
    imageRef = "",
    required: readonly RequirementName[] = [],
    { verify, ...options }: FacecraftReleaseOptions = {},
  ): FacecraftRelease {
    const reference = new pulumi.StackReference(stack, {}, options);
    const parsed = reference.outputs.apply(async (outputs) => {
      const handedOver = parseRelease(outputs ?? {}, stack);
      return verify
        ? chooseVerified(handedOver, stack, imageRef, required, verify)
        : choose(handedOver, stack, imageRef, required);
    });
    return new FacecraftRelease(parsed);
  }
}

/** The release to run. @throws ReleaseError for what cannot be gone back to, and for what was not proven as required */
export function choose(
  handedOver: Release,
  stack: string,
  imageRef: string,
  required: readonly RequirementName[],
): Release {
  const release = imageRef === "" ? handedOver : asImage(handedOver, imageRef);
  const problems =
    imageRef === "" ? unproven(release, required, `The stack ${stack}`) : unprovenImage(imageRef, required);
  if (problems.length > 0) {
    throw new ReleaseError(problems);
  }
  return release;
}

/** The same, for a release that has this signature: then what was proven of an earlier one is known, too. */
export async function chooseVerified(
  handedOver: Release,
  stack: string,
  imageRef: string,
  required: readonly RequirementName[],
  trust: Trust,
): Promise<Release> {
  // What that needs is loaded where it is asked for.
  const { verified, verifiedImage } = await import("./verified.ts");
  if (imageRef === "") {
    return verified(choose(handedOver, stack, imageRef, required), trust);
  }
  const release = await verifiedImage(asImage(handedOver, imageRef), trust);
  const problems = unproven(release, required, imageRef);
  if (problems.length > 0) {
    throw new ReleaseError(problems);
  }
  return release;
}
