import { type ModelName, modelNames, models } from "../../plan/models.ts";
import { gpuLabel } from "../../plan/naming.ts";
import type { PlannedProof } from "../../plan/proof.ts";
import { readSaid } from "../../plan/proven.ts";
import { fields } from "./changes.ts";
import type { Plan } from "./events.ts";
import type { LastProof, ProofRow } from "./shape.ts";

/** What the image has to show, from the plan that its component carries. Nothing where the program did not get so far. */
export function proofRows({ steps }: Plan): ProofRow[] {
  const component = steps.find(({ type }) => type === "facecraft:index:FacecraftImage");
  const proof = component?.after?.inputs.proof as PlannedProof | undefined;
  if (!proof) {
    return [];
  }
  const { boots, unusedModels, network, environment, gpuProof, gpu } = proof;
  const titles = (names: readonly ModelName[]) => names.map((name) => models[name].title).join(", ");
  const used = modelNames.filter((name) => !unusedModels.includes(name));
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return [
    { what: "portrait", is: boots ? requestOf(proof) : "none: the application is not started" },
    ...(boots ? [{ what: "models that must be opened", is: titles(used) || "none" }] : []),
    ...(boots && unusedModels.length > 0 ? [{ what: "models that must not", is: titles(unusedModels) }] : []),
    { what: "network", is: boots ? network : "not watched" },
    ...(variables.length > 0 ? [{ what: "environment", is: variables.join(", ") }] : []),
    ...(isForGpus(steps) ? [{ what: "GPU", is: `${gpuProof}: ${gpu ?? "not proven on one"}` }] : []),
  ];
}

/** What the last release showed, and the release before it, as far as the state knows. */
export function lastProof({ steps }: Plan): LastProof | undefined {
  const stack = steps.find(({ type }) => type === "pulumi:pulumi:Stack");
  const compared = steps.find(({ type, name }) => type === "command:local:Command" && name.endsWith("-published"));
  const proof = measuresIn(fields(stack?.before?.outputs).proof);
  const before = measuresIn(readSaid(compared?.before?.outputs.stdout).before);
  return proof && { ...proof, ...(before && { before }) };
}

function measuresIn(of: unknown): LastProof | undefined {
  const { readySeconds, peakMemoryBytes } = fields(of);
  return typeof readySeconds === "number" && typeof peakMemoryBytes === "number"
    ? { readySeconds, peakMemoryBytes }
    : undefined;
}

function requestOf({ request: { method, path, picture, expected } }: PlannedProof): string {
  const { status, type, width, height } = expected;
  return `${method} ${path} with ${picture} must answer ${status}, ${type}, ${width}x${height}`;
}

function isForGpus(steps: Plan["steps"]): boolean {
  return steps.some(({ after }) => fields(after?.inputs.labels)[gpuLabel] !== undefined);
}
