import type { Proven, ProvenGpu } from "../registry/record.ts";
import { type ModelName, modelNames, models } from "./models.ts";

/** What a stack hands over of the proof of its release. Null is what the image does not say. */
export interface ProofOutput {
  torch: string;
  /** Null for a torch without CUDA. */
  cuda: string | null;
  onnxruntime: string | null;
  boot: "passed" | "off";
  portrait: "passed" | "off" | null;
  modelsOpened: ModelName[];
  network: "silent" | "asked" | "off" | null;
  gpu: ProvenGpu | null;
  readySeconds: number | null;
  peakMemoryBytes: number | null;
}

/** Puts together what an image says of its own proof, with the models by their keys. */
export function proofOutput({ record, measured }: Proven): ProofOutput {
  const {
    torch,
    cuda,
    onnxruntime = null,
    boot,
    portrait = null,
    modelsOpened = [],
    network = null,
    gpu = null,
  } = record;
  const { readySeconds = null, peakMemoryBytes = null } = measured;
  const opened = modelNames.filter((name) => modelsOpened.includes(models[name].file));
  return {
    torch,
    cuda,
    onnxruntime,
    boot,
    portrait,
    modelsOpened: opened,
    network,
    gpu,
    readySeconds,
    peakMemoryBytes,
  };
}
