import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../../plan/config.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { planGpu } from "../../plan/gpu.ts";
import { compare } from "../../plan/gpuIdentity.ts";
import { variants } from "../../plan/variants.ts";

const dockerfile = readDockerfile(variants.gpu.dockerfile);
const listing = (name: string, allowed = true) => `Devices:\n Name: ${name}\n Automatically allowed: ${allowed}\n`;
const has = listing("nvidia.com/gpu=all");
const frontend = dockerfile.args.get("DEVICE_FRONTEND") ?? "";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-gpu-test-"));
  mkdirSync(join(folder, "bin"));
  vi.stubEnv("BUILDX_CONFIG", folder);
  vi.stubEnv("DOCKER_CONFIG", folder);
  vi.stubEnv("PATH", `${join(folder, "bin")}:/usr/bin:/bin`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** A docker whose builder lists devices, and builds with a script that has the folder of the result as $out. */
function docker(listed: string, build = "exit 1"): void {
  writeFileSync(join(folder, "listed"), listed);
  const script = `
if [ "$2" = inspect ]; then cat ${folder}/listed; exit; fi
echo "$*" >> ${folder}/builds
for word; do case $word in type=local,dest=*) out=\${word#*dest=} ;; esac; done
${build}
`;
  writeFileSync(join(folder, "bin/docker"), `#!/bin/sh\n${script}`, { mode: 0o755 });
}

const answers = `
printf 'NVIDIA A10, driver 535.104.05\\nenvironment A=b\\nfile /usr/lib/libcuda.so.535.104.05 1 ab\\n' > $out/with
printf 'a GPU without a name, driver unknown\\nenvironment A=b\\n' > $out/without
`;

function plan(gpuProof: "auto" | "required" | "off", variant: "cpu" | "gpu" = "gpu") {
  return planGpu(parseConfig({ variant, source: "app", gpuProof, builder: "b" }), dockerfile);
}

/** With `auto` the sentence that is told, and how; with `required` the one error. */
async function refused(reason: string, severity: "info" | "warn"): Promise<void> {
  expect(await plan("auto")).toEqual({
    without: { severity, message: `facecraft:gpuProof is auto, and ${reason}: the image is not proven on a GPU.` },
  });
  await expect(plan("required")).rejects.toThrow(
    `facecraft:gpuProof is required, but ${reason}; docs/gpu.md says how a builder gets one.`,
  );
}

describe("an image is proven on a GPU", () => {
  test.each(["auto", "required"] as const)(
    "where the builder has one (%s), which is known before the build",
    async (proof) => {
      docker(has, answers);
      const found = await plan(proof);
      expect(found?.gpu?.name).toBe("NVIDIA A10, driver 535.104.05");
      expect(found?.gpu?.identity).toMatch(/^NVIDIA A10, driver 535\.104\.05, [0-9a-f]{16}$/);
      expect(found?.gpu?.frontend).toBeUndefined();
    },
  );

  test("with a frontend that takes devices, where the builder's own takes none", async () => {
    const own =
      'echo "ERROR: failed to solve: device feature is only supported in Dockerfile frontend 1.14.0-labs" >&2; exit 1';
    docker(has, `case "$*" in *BUILDKIT_SYNTAX=*) ;; *) ${own} ;; esac\n${answers}`);
    expect((await plan("required"))?.gpu?.frontend).toBe(frontend);
    expect(frontend).toMatch(/^docker\.io\/docker\/dockerfile:[\d.]+-labs@sha256:[0-9a-f]{64}$/);

    docker(
      has,
      `case "$*" in *BUILDKIT_SYNTAX=*) echo "ERROR: failed to solve: ${frontend}: no such host" ; exit 1 ;; *) ${own} ;; esac`,
    );
    const fault = `its own Dockerfile frontend takes no devices, and ${frontend} does not come: no such host`;
    await refused(`the builder "b" lists nvidia.com/gpu=all, but cannot say which GPU that is (${fault})`, "warn");
  });
});

describe("an image is not proven on a GPU", () => {
  test("where the builder lists none", async () => {
    docker("Name: b\n");
    await refused('the builder "b" lists no GPU (the device nvidia.com/gpu=all)', "info");
  });

  test("where the builder lists some, but not all of them under one name", async () => {
    docker(listing("nvidia.com/gpu=0"));
    await refused('the builder "b" lists nvidia.com/gpu=0, but no nvidia.com/gpu=all', "warn");
  });

  test("where the builder gives it to no build unasked", async () => {
    docker(listing("nvidia.com/gpu=all", false));
    await refused('the builder "b" has nvidia.com/gpu=all, but gives it to no build unasked', "warn");
  });

  test("where the builder cannot be asked", async () => {
    vi.stubEnv("PATH", join(folder, "bin"));
    const unknown = "`docker buildx inspect` tells that, and there is no docker on the PATH";
    await refused(`it is not known whether the builder "b" has a GPU (${unknown})`, "warn");
  });

  test("where the builder cannot say which one it is", async () => {
    docker(has, "echo 'ERROR: failed to solve: no space left on device' >&2; exit 1");
    const reason =
      'the builder "b" lists nvidia.com/gpu=all, but cannot say which GPU that is (no space left on device)';
    await refused(reason, "warn");
  });

  test("where the stack wants none, and nobody is asked then", async () => {
    docker(has, answers);
    const message = "facecraft:gpuProof is off: the image is not proven on a GPU.";
    expect(await plan("off")).toEqual({ without: { severity: "info", message } });
    expect(await plan("auto", "cpu")).toBeUndefined();
  });
});

describe("what tells one GPU from another", () => {
  const lines = [
    "NVIDIA A10, driver 535.104.05",
    "environment A=b",
    "file /usr/bin/nvidia-smi 1 ab",
    "file /etc/hosts 1 cd",
  ];
  const without = ["a GPU without a name, driver unknown", "environment A=b", "file /etc/hosts 1 cd"];
  const identity = (change: (line: string) => string) => compare(lines.map(change), without).identity;
  const usual = identity((line) => line);

  test.each([
    ["the GPU", (line: string) => line.replace("A10", "T4")],
    ["the driver", (line: string) => line.replace("535.104.05", "550.54.14")],
    ["a file that the device brings", (line: string) => line.replace("1 ab", "1 ff")],
    ["a variable that the device brings", (line: string) => line.replace("A=b", "A=c")],
  ])("is %s", (_, change) => expect(identity(change)).not.toBe(usual));

  test("is nothing that every step has, and no order", () => {
    expect(compare([...lines].slice(0, 1).concat(lines.slice(1).reverse()), without).identity).toBe(usual);
    const other = (line: string) => line.replace("1 cd", "2 ee");
    expect(compare(lines.map(other), without.map(other)).identity).toBe(usual);
  });
});
