import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localBuilder } from "../../local/stackConfig.ts";
import type { StandInGpu } from "../../local/standins/gpu/spec.ts";
import { builderName, GpuBuilder } from "../images/gpuBuilder.ts";
import { mainModule } from "../images/mainModule.ts";
import { Clone } from "./harness.ts";

const gpu: StandInGpu = { name: "NVIDIA Stand-in", capability: "8.6", driver: "535.104.05" };
const label = "facecraft.proof.gpu";

let builder: GpuBuilder;
let clone: Clone;

beforeAll(async () => {
  builder = await GpuBuilder.start();
  clone = await Clone.make("local-gpu");
  clone.environment.BUILDX_CONFIG = builder.buildx;
  // An application that is quick to install, and without the CUDA libraries that only a real GPU needs.
  const app = join(clone.folder, "app");
  rmSync(join(app, "src"), { recursive: true });
  mkdirSync(join(app, "src/facecraft"), { recursive: true });
  writeFileSync(join(app, "src/facecraft/main.py"), mainModule());
  writeFileSync(
    join(app, "requirements.txt"),
    "uvicorn\nnumpy<2\nonnxruntime\nPillow\ntorch==2.0.1\ntorchvision==0.15.2\n",
  );
  writeFileSync(join(app, "requirements-gpu.txt"), "");
  clone.edit("docker/Dockerfile.gpu", (text) =>
    text.replace(/ nvidia-cuda-runtime-cu11==\S+ nvidia-cufft-cu11==[^\s"]+/, ""),
  );
  await clone.commit("A small application");
});
afterAll(async () => {
  clone?.remove();
  await builder?.stop();
});

function ask(gpuProof: "auto" | "required" | "off"): void {
  clone.writeConfig(
    (text) =>
      `${text.replace(`builder: ${localBuilder}`, `builder: ${builderName}`)}\n  facecraft:gpuProof: ${gpuProof}\n`,
  );
}

test("required of a builder without a GPU, it is one sentence at preview, and nothing is built", async () => {
  await builder.has(undefined);
  ask("required");
  const { code, text } = await clone.pulumi("preview");
  expect(code).not.toBe(0);
  expect(text).toContain(
    `facecraft:gpuProof is required, but the builder "${builderName}" lists no GPU (the device nvidia.com/gpu=all); ` +
      "docs/gpu.md says how a builder gets one.",
  );
  expect(text).not.toMatch(/^\s+at /m);
  expect(text).not.toContain("facecraft-proof");
});

test("left open, an image is released without a GPU, and says so", async () => {
  ask("auto");
  const up = await clone.up();
  expect(up).toSucceed();
  expect(up.text).toContain(
    `the builder "${builderName}" lists no GPU (the device nvidia.com/gpu=all): the image is not proven on a GPU.`,
  );
  const { labels, proof } = await clone.outputs();
  expect(labels[label]).toBe("not proven");
  expect(proof).toMatchObject({ portrait: "passed", gpu: null });
});

test("left open, an image is proven where there is a GPU, which the preview says, and the release", async () => {
  await builder.has(gpu);
  const preview = await clone.pulumi("preview");
  expect(preview).toSucceed();
  expect(preview.text).toContain("The image is proven on a GPU of the builder: NVIDIA Stand-in, driver 535.104.05.");
  expect(await clone.up()).toSucceed();
  const { labels, proof } = await clone.outputs();
  expect(labels[label]).toBe("NVIDIA Stand-in, driver 535.104.05");
  expect(proof.gpu).toEqual({
    name: "NVIDIA Stand-in",
    capability: "8.6",
    driver: "535.104.05",
    provider: "CUDAExecutionProvider",
  });
  const again = await clone.pulumi("preview", "--expect-no-changes");
  expect(again).toSucceed();
});

test("another driver is proven anew, and is another release", async () => {
  const before = await clone.outputs();
  await builder.has({ ...gpu, driver: "550.54.14" });
  ask("required");
  expect(await clone.up()).toSucceed();
  const { labels, proof, imageRef } = await clone.outputs();
  expect(labels[label]).toBe("NVIDIA Stand-in, driver 550.54.14");
  expect(proof.gpu).toMatchObject({ driver: "550.54.14" });
  expect(imageRef).not.toBe(before.imageRef);
});

test("a GPU that computes wrongly stops the release at preview, in one sentence", async () => {
  await builder.has({ ...gpu, fault: "product" });
  const { code, text } = await clone.pulumi("preview");
  expect(code).not.toBe(0);
  expect(text).toContain("proof: a product of matrices differs on NVIDIA Stand-in in 1 of 4096 places");
});

test("turned off, nobody asks for the GPU", async () => {
  ask("off");
  expect(await clone.up()).toSucceed();
  const { labels, proof } = await clone.outputs();
  expect(labels[label]).toBe("not proven");
  expect(proof.gpu).toBeNull();
});
