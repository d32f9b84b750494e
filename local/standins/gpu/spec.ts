// Describes a stand-in for a GPU to a builder: `node local/standins/gpu/spec.ts "NVIDIA Stand-in, 8.6, 535.104.05" > FOLDER/gpu.json`,
// in a folder that is among the builder's specDirs, such as local/cdi in the tools folder.
import { join } from "node:path";

/** What the stand-in for torch is to see. */
export interface StandInGpu {
  name: string;
  /** Of computing, such as 8.6. */
  capability: string;
  driver: string;
  /** What it does wrongly: multiply matrices, or be found by onnxruntime. */
  fault?: "product" | "provider";
}

/** A description of devices (CDI) as NVIDIA's toolkit writes one: with variables, and with files of the driver. */
export function describeStandIn({ name, capability, driver, fault }: StandInGpu): string {
  const env = [`FACECRAFT_STANDIN_GPU=${[name, capability, driver].join(", ")}`];
  const mount = {
    hostPath: join(import.meta.dirname, "nvidia-smi"),
    containerPath: "/usr/bin/nvidia-smi",
    options: ["ro", "nosuid", "nodev", "bind"],
  };
  const containerEdits = {
    env: [...env, ...(fault ? [`FACECRAFT_STANDIN_GPU_FAULT=${fault}`] : [])],
    mounts: [mount],
  };
  return JSON.stringify({ cdiVersion: "0.6.0", kind: "nvidia.com/gpu", devices: [{ name: "all", containerEdits }] });
}

if (import.meta.main) {
  const [name = "", capability = "", driver = ""] = (process.argv[2] ?? "").split(", ");
  console.log(describeStandIn({ name, capability, driver }));
}
