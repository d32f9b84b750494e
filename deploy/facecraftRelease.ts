import * as pulumi from "@pulumi/pulumi";
import { asImage, parseRelease, type Release, ReleaseError } from "./release.ts";
import { type RequirementName, unproven, unprovenImage } from "./requirements.ts";

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
   * for each output that is missing, of another shape, or not pinned by digest, and for all that is required and not proven.
   *
   * @param stack full name of the stack, for example `organization/facecraft/cpu`
   * @param imageRef another release of the same image to go back to; empty for the stack's own
   * @param required what must have been proven
   */
  static fromStack(
    stack: string,
    imageRef = "",
    required: readonly RequirementName[] = [],
    options?: pulumi.CustomResourceOptions,
  ): FacecraftRelease {
    const reference = new pulumi.StackReference(stack, {}, options);
    const parsed = reference.outputs.apply((outputs) =>
      choose(parseRelease(outputs ?? {}, stack), stack, imageRef, required),
    );
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
  const problems = imageRef === "" ? unproven(release, required, stack) : unprovenImage(imageRef, required);
  if (problems.length > 0) {
    throw new ReleaseError(problems);
  }
  return release;
}
