import { formatBytes } from "../../artifacts/text.ts";
import { models } from "../../plan/models.ts";
import type { Measured, ProofRecord, ProvenGpu } from "../../registry/record.ts";

/** What an image says of its own proof, row by row. What it does not say, as one of an earlier version, is left out. */
export function proofLines(
  {
    torch,
    cuda,
    onnxruntime,
    boot,
    portrait,
    modelsOpened,
    unusedModels = [],
    network,
    environment = {},
    gpu,
  }: ProofRecord,
  { readySeconds, peakMemoryBytes, portraitSeconds }: Measured,
): [string, string][] {
  const libraries = [
    `torch ${torch}`,
    `CUDA ${cuda ?? "none"}`,
    ...(onnxruntime ? [`onnxruntime ${onnxruntime}`] : []),
  ];
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const answered = portraitSeconds === undefined ? "" : `, answered in ${portraitSeconds.toFixed(1)} s`;
  const rows: [string, string | undefined][] = [
    ["Libraries", libraries.join(", ")],
    ["Boot", boot],
    ["Portrait", portrait && portrait + answered],
    ["Models opened", modelsOpened && (titles(modelsOpened) || "none")],
    ["Models that nobody opened", titles(unusedModels) || undefined],
    ["Network", network],
    ["Environment of the proof", variables.join(", ") || undefined],
    ["GPU", gpu === undefined ? undefined : gpuLine(gpu)],
    ["Ready after", readySeconds === undefined ? undefined : `${readySeconds.toFixed(1)} s`],
    ["Memory at most", peakMemoryBytes === undefined ? undefined : formatBytes(peakMemoryBytes)],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

function titles(files: readonly string[]): string {
  return files.map((path) => Object.values(models).find(({ file }) => file === path)?.title ?? path).join(", ");
}

function gpuLine(gpu: ProvenGpu | null): string {
  return gpu === null
    ? "not proven on one"
    : `${gpu.name} (compute capability ${gpu.capability}), driver ${gpu.driver}, ${gpu.provider}`;
}
