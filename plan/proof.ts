import { readFileSync } from "node:fs";
import type { ExpectedProof } from "../registry/published.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import type { GpuPlan } from "./gpu.ts";
import type { GpuIdentity } from "./gpuIdentity.ts";
import { type ModelName, modelNames, models } from "./models.ts";
import { info, type Remark, warn } from "./remark.ts";
import { variants } from "./variants.ts";

/** What an image has to show before it is published, beside what it is made of. */
export interface PlannedProof {
  /** What the application is asked for, and what it must answer. */
  request: PortraitRequest;
  /** Whether the application is started at all. Without, it answers no portrait, opens no model, and nobody is watched. */
  boots: boolean;
  /** Models that the application need not open, and must not. */
  unusedModels: ModelName[];
  network: Config["network"];
  /** Variables of the application in the proof, beside those of the image. */
  environment: Record<string, string>;
  gpuProof: Config["gpuProof"];
  /** The GPU and the driver that it is proven on; absent where it is not proven on any. */
  gpu?: string;
  /** Why it is not proven on a GPU, where it could be. */
  withoutGpu?: Remark;
}

/** A portrait that is posted as a form, and the picture that must come back. */
export interface PortraitRequest {
  method: string;
  path: string;
  /** Of the form, with the picture in it. */
  field: string;
  /** File beside the request's own. */
  picture: string;
  expected: { status: number; type: string; width: number; height: number };
}

/** The request as the proof itself reads it. */
const requestFile = "docker/scripts/portrait.json";

// What the loader and Python run before, or in place of, what is in the image.
const decidesCode = /^(LD_|PYTHON)/;

/**
 * Puts together what the stack asks of the proof.
 *
 * @param onGpu the GPU that the builder has for it, or why it has none
 * @throws ConfigError for a variable that would make the proof one of another image
 */
export function planProof(config: Config, dockerfile: DockerfileFacts, onGpu?: GpuPlan): PlannedProof {
  const { smokeTest: boots, unusedModels, network, gpuProof, proofEnvironment } = config;
  const problems = Object.keys(proofEnvironment).flatMap((name) => {
    const reason = dockerfile.variables.has(name)
      ? `${dockerfile.path} sets it for the image (ENV)`
      : decidesCode.test(name) && "it decides which code runs";
    return reason
      ? [`facecraft:proofEnvironment.${name} must be left out: ${reason}, and the proof is of the image as it is.`]
      : [];
  });
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return {
    request: JSON.parse(readFileSync(requestFile, "utf8")) as PortraitRequest,
    boots,
    unusedModels: modelNames.filter((name) => unusedModels.includes(name)),
    network,
    environment: Object.fromEntries(Object.entries(proofEnvironment).sort()),
    gpuProof: variants[config.variant].device === "cpu" ? "off" : gpuProof,
    ...(onGpu?.gpu && { gpu: onGpu.gpu.name }),
    ...(onGpu?.without && { withoutGpu: onGpu.without }),
  };
}

/** The build args of the proof. What is as the Dockerfile has it is not among them: docker-build takes empty for unknown. */
export function proofArgs(
  { boots, unusedModels, network, environment }: PlannedProof,
  gpu?: GpuIdentity,
): Record<string, string> {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return {
    ...(!boots && { SMOKE_TEST: "0" }),
    ...(unusedModels.length > 0 && { UNUSED_MODELS: unusedModels.map((name) => models[name].file).join(" ") }),
    ...(network !== "refused" && { PROOF_NETWORK: network }),
    ...(lines.length > 0 && { PROOF_ENVIRONMENT: lines.join("\n") }),
    ...(gpu && { GPU_PROOF: "required", GPU_IDENTITY: gpu.identity }),
    ...(gpu?.frontend && { BUILDKIT_SYNTAX: gpu.frontend }),
  };
}

/** What the record in the image must say afterwards. */
export function expectedProof({
  boots,
  unusedModels,
  network,
  environment,
  gpuProof,
  gpu,
}: PlannedProof): ExpectedProof {
  const onGpu = gpuProof === "required" || gpu !== undefined;
  return { boots, unusedModels: unusedModels.map((name) => models[name].file), network, environment, onGpu };
}

/** What a person should know of a proof: what it shows less than it could, and which GPU it is on. */
export function proofRemarks(proof: PlannedProof): Remark[] {
  const unused = proof.unusedModels.map((name) => models[name].title).join(", ");
  return [
    ...(!proof.boots
      ? [
          warn(
            "facecraft:smokeTest is false: the application is not started in the proof, so nobody knows whether it " +
              "answers a portrait, which models it opens, and whom it asks.",
          ),
        ]
      : []),
    ...(proof.boots && proof.network === "allowed"
      ? [warn("facecraft:network is allowed: an application that tries to reach the network in the proof is released.")]
      : []),
    ...(unused
      ? [info(`facecraft:unusedModels: ${unused} is in the image though the application does not open it.`)]
      : []),
    ...(proof.gpu ? [info(`The image is proven on a GPU of the builder: ${proof.gpu}.`)] : []),
    ...(proof.withoutGpu ? [proof.withoutGpu] : []),
  ];
}
