import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { baseImages } from "../../local/base.ts";
import type { StandInGpu } from "../../local/standins/gpu/spec.ts";
import { toolPath } from "../../local/tools.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { type GpuIdentity, identifyGpu } from "../../plan/gpuIdentity.ts";
import { builderName, GpuBuilder } from "./gpuBuilder.ts";
import { Trial } from "./trial.ts";

const gpu: StandInGpu = { name: "NVIDIA Stand-in", capability: "8.6", driver: "535.104.05" };
// The builder keeps its cache from run to run, so this run's driver is none of an earlier one.
const other: StandInGpu = { ...gpu, driver: `550.54.${Date.now()}` };

let builder: GpuBuilder;
let trial: Trial;

beforeAll(async () => {
  builder = await GpuBuilder.start();
  vi.stubEnv("BUILDX_CONFIG", builder.buildx);
  vi.stubEnv("PATH", toolPath());
});
afterAll(async () => {
  vi.unstubAllEnvs();
  trial?.close();
  await builder?.stop();
});

beforeEach(async () => {
  trial?.close();
  trial = await Trial.make({ variant: "gpu", socket: builder.socket });
  trial.write("requirements-gpu.txt", "");
  // Without the CUDA libraries that only a real GPU needs.
  trial.args.ONNXRUNTIME_GPU = "onnxruntime-gpu==1.18.1";
});

async function identify(): Promise<GpuIdentity> {
  const { CUDA_RUNTIME_IMAGE: base = "" } = await baseImages();
  const frontend = readDockerfile("docker/Dockerfile.gpu").args.get("DEVICE_FRONTEND") ?? "";
  const node = { endpoint: `unix://${builder.socket}`, options: {} };
  const found = await identifyGpu({ builder: builderName, node, base, frontend });
  expect(found).not.toHaveProperty("fault");
  return found as GpuIdentity;
}

/** Asks for the proof on the GPU that the machine has now. */
async function require(now: StandInGpu): Promise<GpuIdentity> {
  await builder.has(now);
  const found = await identify();
  Object.assign(trial.args, { GPU_PROOF: "required", GPU_IDENTITY: found.identity });
  if (found.frontend) {
    trial.args.BUILDKIT_SYNTAX = found.frontend;
  }
  return found;
}

interface Record {
  boot: string;
  portrait: string;
  gpu: unknown;
}

/** Builds the proof, which must pass, and returns what it has written down. */
async function record(): Promise<{ record: Record; text: string }> {
  const out = mkdtempSync(join(tmpdir(), "facecraft-record-"));
  try {
    const edit = (text: string) => `${text}\nFROM scratch AS record\nCOPY --from=proof /tmp/proof /\n`;
    const output = `type=local,dest=${out}`;
    const built = await trial.build({ target: "record", edit: { "docker/Dockerfile.gpu": edit }, output });
    expect(built).toSucceed();
    return { record: JSON.parse(readFileSync(join(out, "usr/share/facecraft/proof.json"), "utf8")), text: built.text };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const ran = (text: string) => /^#\d+ \[proof-required \d+\/\d+\] RUN /m.test(text);
const cached = (text: string) => {
  const [, step] = /^#(\d+) \[proof-required \d+\/\d+\] RUN /m.exec(text) ?? [];
  return text.split("\n").includes(`#${step} CACHED`);
};

async function refused(sentence: string): Promise<string> {
  const { code, text } = await trial.build();
  expect(text).toContain(sentence);
  expect(code).not.toBe(0);
  return text;
}

describe("where the builder has a GPU, the image", () => {
  test("is proven on it, and its record says on which", async () => {
    const { name } = await require(gpu);
    expect(name).toBe("NVIDIA Stand-in, driver 535.104.05");
    const { record: proven, text } = await record();
    expect(ran(text)).toBe(true);
    expect(proven).toMatchObject({
      boot: "passed",
      portrait: "passed",
      gpu: { name: "NVIDIA Stand-in", capability: "8.6", driver: "535.104.05", provider: "CUDAExecutionProvider" },
    });
  });

  test("is proven again on another driver, though BuildKit itself would take the same step from its cache", async () => {
    const first = await require(gpu);
    await record();
    const second = await require(other);
    expect(second.identity).not.toBe(first.identity);
    const again = await record();
    expect(cached(again.text)).toBe(false);
    expect(again.record.gpu).toMatchObject({ driver: other.driver });
    const back = await require(gpu);
    expect(back.identity).toBe(first.identity);
    expect((await record()).record.gpu).toMatchObject({ driver: "535.104.05" });

    // Which is why: by what BuildKit itself knows, the proof of one machine passes for that of another.
    await builder.has(other);
    const passed = await record();
    expect(cached(passed.text)).toBe(true);
    expect(passed.record.gpu).toMatchObject({ driver: "535.104.05" });
  });

  test("is not proven on another one than the builder was asked about", async () => {
    const asked = await require(gpu);
    await builder.has(other);
    trial.args.GPU_IDENTITY = `${asked.name}, of another digest`;
    const says = `GPU_IDENTITY says ${asked.name}, of another digest: run this again, for the GPU of now`;
    await refused(`proof: this step has NVIDIA Stand-in, driver ${other.driver}, but ${says}`);
  });

  test("is not proven without a word for the cache", async () => {
    await require(gpu);
    trial.args.GPU_IDENTITY = "";
    await refused("proof: GPU_IDENTITY is empty: without it, what was proven on one GPU would pass for another");
  });

  test.each([
    [
      "multiplies matrices wrongly",
      { ...gpu, fault: "product" as const },
      "proof: a product of matrices differs on NVIDIA Stand-in in 1 of 4096 places: 1 there, 0 on the CPU",
    ],
    [
      "is one that torch has no code for",
      { ...gpu, capability: "3.0" },
      "proof: NVIDIA Stand-in has the capability 3.0, but this torch was built for sm_37, sm_50,",
    ],
    [
      "is not found by onnxruntime",
      { ...gpu, fault: "provider" as const },
      "proof: onnxruntime does not compute on the GPU: the providers of this session are CPUExecutionProvider; the first " +
        "must be CUDAExecutionProvider",
    ],
  ])("is refused where the GPU %s", async (_, wrong, sentence) => {
    await require(wrong);
    expect(await refused(sentence)).not.toContain("Traceback");
  });

  test("is refused where the application does not answer on it, though it does on the CPU", async () => {
    await require(gpu);
    const { mainModule } = await import("./mainModule.ts");
    const start = 'if os.environ["FACECRAFT_DEVICE"] == "cuda":\n    sys.exit("no kernel for this device")\n';
    trial.write("src/facecraft/main.py", mainModule({ start }));
    await refused("proof: on the GPU: the application ended with code");
  });

  test("is not proven on it where nobody asks for that", async () => {
    await builder.has(gpu);
    const { record: proven, text } = await record();
    expect(ran(text)).toBe(false);
    expect(proven).toMatchObject({ portrait: "passed", gpu: null });
  });
});

describe("where the builder has no GPU, the image", () => {
  test("is built by the documented command, and its record says so", async () => {
    await builder.has(undefined);
    expect((await record()).record).toMatchObject({ portrait: "passed", gpu: null });
  });

  test("is not built when it is to be proven on one, whatever lies in the cache", async () => {
    await require(gpu);
    await record();
    await builder.has(undefined);
    await refused('required device "nvidia.com/gpu=all" is not registered');
  });
});

test("a step tells its GPU from what the device brings, and the same each time", async () => {
  await builder.has(gpu);
  const [first, second] = [await identify(), await identify()];
  expect(second).toEqual(first);
  await builder.has({ ...gpu, capability: "9.0" });
  const third = await identify();
  expect(third.name).toBe(first.name);
  expect(third.identity).not.toBe(first.identity);
});
