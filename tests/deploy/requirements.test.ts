import { describe, expect, test } from "vitest";
import { choose } from "../../deploy/facecraftRelease.ts";
import { parseRelease, type Release } from "../../deploy/release.ts";
import { type RequirementName, requirementNames } from "../../deploy/requirements.ts";
import { outputs } from "./outputs.ts";

const stack = "organization/facecraft/gpu";
const gpu = { name: "NVIDIA A10", capability: "8.6", driver: "535.104.05", provider: "CUDAExecutionProvider" };
const proven = outputs({ proof: { ...outputs().proof, gpu } });

function told(release: Release, required: readonly RequirementName[], imageRef = ""): string[] {
  try {
    choose(release, stack, imageRef, required);
    return [];
  } catch (error) {
    return (error as Error).message.split("\n");
  }
}

describe("what a deploy stack requires of a release", () => {
  test("lets one pass that was proven in every way", () => {
    expect(told(proven, requirementNames)).toEqual([]);
  });

  test("is nothing unless it says so", () => {
    expect(told(outputs({ proof: {} }), [])).toEqual([]);
    expect(told(outputs({ proof: { boot: "off", portrait: "off", network: "off" } }), [])).toEqual([]);
  });

  test.each<[RequirementName, Release["proof"], string]>([
    [
      "boot",
      { boot: "off" },
      "its application was not started in the proof. Set facecraft:smokeTest to true in the image stack and run `pulumi up` there",
    ],
    [
      "portrait",
      { portrait: "off" },
      "it was not seen to answer a portrait. Set facecraft:smokeTest to true in the image stack and run `pulumi up` there",
    ],
    [
      "models",
      { modelsOpened: [] },
      "its application was not seen to open u2net. Release a commit of the application that uses them, without facecraft:unusedModels",
    ],
    [
      "network",
      { network: "asked" },
      "its application tried to reach it. Run `pulumi up` in the image stack with facecraft:network refused",
    ],
    [
      "network",
      { network: "off" },
      "nobody watched whom it asks. Run `pulumi up` in the image stack with facecraft:network refused",
    ],
    [
      "gpu",
      { gpu: null },
      "it was proven on no GPU. Run `pulumi up` in the image stack with a builder that has a GPU, and facecraft:gpuProof required",
    ],
  ])("is missing %s: %j", (name, change, sentence) => {
    const release = outputs({ proof: { ...proven.proof, ...change } });
    const [why, todo] = sentence.split(/\. (?=[A-Z])/);
    expect(told(release, requirementNames)).toEqual([
      `The stack ${stack} cannot be deployed: ${name} is required, but ${why}. ${todo}, or take ${name} off the list.`,
    ]);
  });

  test("is told once for each, of a release that an earlier version has made", () => {
    const { proof: _, ...older } = outputs();
    expect(told(parseRelease(older, stack), ["portrait", "gpu"])).toEqual(
      ["portrait", "gpu"].map(
        (name) =>
          `The stack ${stack} cannot be deployed: ${name} is required, but its release is of an earlier version of the image ` +
          `program, which did not prove that. Run \`pulumi up\` in the image stack, or take ${name} off the list.`,
      ),
    );
  });

  test("is not known of an earlier release of the same image", () => {
    const imageRef = `docker.io/djok/facecraft:1.1.0-cpu-99999999@sha256:${"e".repeat(64)}`;
    expect(told(proven, [], imageRef)).toEqual([]);
    expect(told(proven, ["portrait"], imageRef)).toEqual([
      `${imageRef} cannot be deployed: portrait is required, but only the release that its stack hands over now is known to ` +
        "have it. Take portrait off the list for as long as imageRef is set.",
    ]);
  });
});
