import * as pulumi from "@pulumi/pulumi";
import { asImage, parseRelease, type Release } from "./release.ts";

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

  private constructor(outputs: pulumi.Output<Release>) {
    this.outputs = outputs;
    this.imageRef = outputs.apply(({ imageRef }) => imageRef);
    this.digest = outputs.apply(({ digest }) => digest);
    this.variant = outputs.apply(({ variant }) => variant);
    this.healthcheck = outputs.apply(({ healthcheck }) => healthcheck);
  }

  /**
   * Takes over the release of an image stack, or the one that a deploy stack has proven. The update fails with a sentence
   * for each output that is missing, of another shape, or not pinned by digest.
   *
   * @param stack full name of the stack, for example `organization/facecraft/cpu`
   * @param imageRef another release of the same image to go back to; empty for the stack's own
   */
  static fromStack(stack: string, imageRef = "", options?: pulumi.CustomResourceOptions): FacecraftRelease {
    const reference = new pulumi.StackReference(stack, {}, options);
    const parsed = reference.outputs.apply((outputs) => {
      const release = parseRelease(outputs ?? {}, stack);
      return imageRef === "" ? release : asImage(release, imageRef);
    });
    return new FacecraftRelease(parsed);
  }
}
