import { pickFrom, setOf } from "../plan/schema.ts";
import type { Release } from "./release.ts";

interface Requirement {
  /** Says what of it is missing, as the end of a sentence; undefined where nothing is. */
  missing(release: Release): string | undefined;
  /** What to do in the image stack, as the beginning of a sentence. */
  remedy: string;
}

const smokeTest = "Set facecraft:smokeTest to true in the image stack and run `pulumi up` there";

/** What a deploy stack can require to have been proven of a release, before it runs it. */
const requirements = {
  /** The image's own command got ready, and stopped when told to. */
  boot: {
    missing: ({ proof }) => (proof.boot === "passed" ? undefined : "its application was not started in the proof"),
    remedy: smokeTest,
  },
  /** A portrait went in, and the right picture came out. */
  portrait: {
    missing: ({ proof }) => (proof.portrait === "passed" ? undefined : "it was not seen to answer a portrait"),
    remedy: smokeTest,
  },
  /** The application opened every model of the image: facecraft:unusedModels lets none pass here. */
  models: {
    missing({ proof, models }) {
      const unopened = Object.keys(models).filter((name) => !proof.modelsOpened?.includes(name));
      return unopened.length > 0 ? `its application was not seen to open ${unopened.join(", ")}` : undefined;
    },
    remedy: "Release a commit of the application that uses them, without facecraft:unusedModels",
  },
  /** Nobody tried to reach the network. */
  network: {
    missing({ proof }) {
      const found = proof.network === "asked" ? "its application tried to reach it" : "nobody watched whom it asks";
      return proof.network === "silent" ? undefined : found;
    },
    remedy: "Run `pulumi up` in the image stack with facecraft:network refused",
  },
  /** It was proven on a GPU. */
  gpu: {
    missing: ({ proof }) => (proof.gpu ? undefined : "it was proven on no GPU"),
    remedy: "Run `pulumi up` in the image stack with a builder that has a GPU, and facecraft:gpuProof required",
  },
} as const satisfies Record<string, Requirement>;

export type RequirementName = keyof typeof requirements;

export const requirementNames = Object.keys(requirements) as RequirementName[];

/** The list of what must have been proven, as every deploy project's key `require` has it. */
export const requirementList = setOf(
  (right) => pickFrom(requirementNames, right),
  `a list of what must have been proven, each once: ${requirementNames.join(", ")}`,
);

/**
 * Says what of the required was not proven of a release, one sentence each.
 *
 * @param what how to call it at the beginning of a sentence
 */
export function unproven(release: Release, required: readonly RequirementName[], what: string): string[] {
  const isOlder = release.proof.portrait === undefined || release.proof.portrait === null;
  return required.flatMap((name) => {
    const { missing, remedy }: Requirement = requirements[name];
    const lacking = missing(release);
    const [why, todo] = isOlder
      ? [
          "its release is of an earlier version of the image program, which did not prove that",
          "Run `pulumi up` in the image stack",
        ]
      : [lacking, remedy];
    return lacking === undefined
      ? []
      : [`${what} cannot be deployed: ${name} is required, but ${why}. ${todo}, or take ${name} off the list.`];
  });
}

/** The same of a release that is only named: what was proven of it, no stack hands over any more. */
export function unprovenImage(imageRef: string, required: readonly RequirementName[]): string[] {
  return required.map(
    (name) =>
      `${imageRef} cannot be deployed: ${name} is required, but only the release that its stack hands over now is known ` +
      `to have it. Take ${name} off the list for as long as imageRef is set.`,
  );
}
