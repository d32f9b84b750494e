import { describe, expect, test } from "vitest";
import { models } from "../../plan/models.ts";
import { proofOutput } from "../../plan/proven.ts";
import type { ProofRecord } from "../../registry/record.ts";

const older: ProofRecord = {
  torch: "2.0.1+cpu",
  cuda: null,
  models: {},
  packages: { torch: "2.0.1+cpu" },
  boot: "passed",
};

describe("what a stack hands over of its proof", () => {
  test("is what the image says, with the models by their keys", () => {
    const gpu = { name: "NVIDIA A10", capability: "8.6", driver: "535.104.05", provider: "CUDAExecutionProvider" };
    const record: ProofRecord = {
      ...older,
      torch: "2.0.1+cu118",
      cuda: "11.8",
      onnxruntime: "1.18.1",
      portrait: "passed",
      modelsOpened: [models.u2net.file, "/app/models/of-another-version", models.shapePredictor.file].sort(),
      unusedModels: [models.codeformer.file],
      network: "silent",
      environment: { A: "1" },
      gpu,
    };
    const measured = { readySeconds: 1.8, peakMemoryBytes: 412_345_678, portraitSeconds: 0.8 };
    expect(proofOutput({ record, measured })).toEqual({
      torch: "2.0.1+cu118",
      cuda: "11.8",
      onnxruntime: "1.18.1",
      boot: "passed",
      portrait: "passed",
      modelsOpened: ["shapePredictor", "u2net"],
      network: "silent",
      gpu,
      readySeconds: 1.8,
      peakMemoryBytes: 412_345_678,
    });
  });

  test("has null for all that an image of an earlier version does not say", () => {
    expect(proofOutput({ record: older, measured: {} })).toEqual({
      ...{ torch: "2.0.1+cpu", cuda: null, onnxruntime: null, boot: "passed", portrait: null, modelsOpened: [] },
      ...{ network: null, gpu: null, readySeconds: null, peakMemoryBytes: null },
    });
  });
});
