import { describe, expect, test } from "vitest";
import { models } from "../../plan/models.ts";
import { proofOutput, readSaid, say } from "../../plan/proven.ts";
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

describe("what is said of a published image", () => {
  const proven = (readySeconds?: number) => ({
    record: older,
    measured: readySeconds === undefined ? {} : { readySeconds, peakMemoryBytes: 400_000_000 },
  });
  const again = (said: object) => readSaid(JSON.stringify(said));

  test("names what the release before it took, however often it is compared again", () => {
    const first = say("sha256:1", proven(1.8), {});
    expect(first).toEqual({ digest: "sha256:1", proof: proofOutput(proven(1.8)) });
    const second = say("sha256:2", proven(2.5), again(first));
    expect(second.before).toEqual({ readySeconds: 1.8, peakMemoryBytes: 400_000_000 });
    expect(say("sha256:2", proven(2.5), again(second))).toEqual(second);
    expect(say("sha256:3", proven(2), again(second)).before).toEqual({
      readySeconds: 2.5,
      peakMemoryBytes: 400_000_000,
    });
  });

  test("names nothing of a release that was not measured, or of which an earlier version said something else", () => {
    expect(say("sha256:2", proven(1), again(say("sha256:1", proven(), {})))).not.toHaveProperty("before");
    for (const text of [undefined, "", "{", "null", "[]", '{"torch":"2.0.1+cpu","boot":"passed"}', '{"proof":5}']) {
      expect(readSaid(text)).toEqual({});
    }
  });
});
