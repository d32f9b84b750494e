import type { Proven, ProvenGpu } from "../registry/record.ts";
import { isRecord } from "./isRecord.ts";
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

/** How an application behaved in its proof: what one release can be compared by with another. */
export type Measures = Pick<ProofOutput, "readySeconds" | "peakMemoryBytes">;

/** What the command that compares the published image says on its standard output. */
export interface Said {
  /** Of the release that was compared. */
  digest: string;
  proof: ProofOutput;
  /** Of the release before it, where there was one that said so. */
  before?: Measures;
}

/** Reads that output again; whatever else it is, such as that of an earlier version, says nothing. */
export function readSaid(text: unknown): Partial<Said> {
  try {
    const said: unknown = JSON.parse(String(text));
    return isRecord(said) && isRecord(said.proof) ? (said as Partial<Said>) : {};
  } catch {
    return {};
  }
}

/**
 * What is said of a published image.
 *
 * @param previous what was said of the release that the stack had until now; of the same release, when it is compared again
 */
export function say(digest: string, proven: Proven, previous: Partial<Said>): Said {
  const { readySeconds, peakMemoryBytes } = previous.proof ?? {};
  const last = readySeconds && peakMemoryBytes ? { readySeconds, peakMemoryBytes } : undefined;
  const before = previous.digest === digest ? previous.before : last;
  return { digest, proof: proofOutput(proven), ...(before && { before }) };
}
