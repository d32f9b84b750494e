import { readFileSync } from "node:fs";
import type { ExpectedProof } from "../registry/published.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import { type ModelName, modelNames, models } from "./models.ts";
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
 * @param gpu the GPU and the driver that the builder has for it
 * @throws ConfigError for a variable that would make the proof one of another image
 */
export function planProof(config: Config, dockerfile: DockerfileFacts, gpu?: string): PlannedProof {
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
    ...(gpu && { gpu }),
  };
}

/** The build args of the proof. What is as the Dockerfile has it is not among them: docker-build takes empty for unknown. */
export function proofArgs({ boots, unusedModels, network, environment }: PlannedProof): Record<string, string> {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return {
    ...(!boots && { SMOKE_TEST: "0" }),
    ...(unusedModels.length > 0 && { UNUSED_MODELS: unusedModels.map((name) => models[name].file).join(" ") }),
    ...(network !== "refused" && { PROOF_NETWORK: network }),
    ...(lines.length > 0 && { PROOF_ENVIRONMENT: lines.join("\n") }),
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

/** What a person should know of a proof that shows less than it could; `warn` where the config could be another. */
export function proofRemarks(proof: PlannedProof): { severity: "info" | "warn"; message: string }[] {
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
    ...(proof.gpuProof === "auto" && proof.gpu === undefined
      ? [info("facecraft:gpuProof is auto, and the builder lists no GPU: the image is not proven on one.")]
      : []),
  ];
}

const warn = (message: string) => ({ severity: "warn" as const, message });
const info = (message: string) => ({ severity: "info" as const, message });
