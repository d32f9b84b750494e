import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DockerfileParser } from "dockerfile-ast";
import { describe, expect, test } from "vitest";
import { readArgs } from "../../artifacts/pins.ts";
import { root } from "../../local/paths.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { models } from "../../plan/models.ts";
import { listScripts } from "../../plan/snapshot.ts";
import { variantNames, variants } from "../../plan/variants.ts";
import { healthcheckProbe } from "../../registry/healthcheck.ts";

const read = (name: string) => readFileSync(join(root, "docker", name), "utf8");
const [cpu, gpu] = [read("Dockerfile.cpu"), read("Dockerfile.gpu")];

/** What stands before the first stage, without the image's name. */
const head = (text: string) => (text.split(/^FROM /m)[0] as string).replaceAll(/\b(CPU|GPU|cpu|gpu)\b/g, "");

/** The text of each stage by its name, with the comment that opens it. */
function stages(text: string): Map<string, string> {
  const parts = text.split(/\n\n(?=#[^\n]*\nFROM )/).slice(1);
  return new Map(parts.map((part) => [/^FROM .* AS (\S+)$/m.exec(part)?.[1] ?? "", part.trim()]));
}

describe("the two Dockerfiles", () => {
  const names = [...stages(cpu).keys()];
  // What the CPU's proof is, is the GPU's without a GPU.
  const inGpu = (name: string) => (name === "proof" ? ["proof-off", "proof-required", "proof"] : [name]);

  test("have the same stages in the same order, the image last", () => {
    expect([...stages(gpu).keys()]).toEqual(names.flatMap(inGpu));
    expect(names.at(-1)).toBe("release");
    expect(names).toContain("venv");
  });

  test.each(names.filter((name) => name !== "device"))("have the same stage %s", (stage) => {
    const text = stages(gpu).get(inGpu(stage)[0] as string);
    expect(text?.replace(" AS proof-off\n", " AS proof\n")).toBe(stages(cpu).get(stage));
  });

  test("ask for a device only where the image is proven on one, which is not reached otherwise", () => {
    const asking = [...stages(gpu)].filter(([, text]) => text.includes("--device")).map(([name]) => name);
    expect(asking).toEqual(["proof-required"]);
    expect(readArgs(gpu).get("PROOF_STAGE")).toBe("proof-${GPU_PROOF}");
    expect(readArgs(gpu).get("GPU_PROOF")).toBe("off");
    expect(cpu).not.toContain("--device");
  });

  test("differ in the values of the ARGs at their top, and nowhere else", () => {
    const argNames = (text: string) => [...head(text).matchAll(/^ARG (\w+)=/gm)].map(([, name]) => name);
    const own = new Set(["PYTHON_IMAGE", "CUDA_RUNTIME_IMAGE", "GPU_PROOF", "PROOF_STAGE", "DEVICE_FRONTEND"]);
    expect(argNames(gpu).filter((name) => !own.has(name ?? ""))).toEqual(
      argNames(cpu).filter((name) => !own.has(name ?? "")),
    );
  });

  test("let the same inputs in", () => {
    expect(read("Dockerfile.gpu.rego")).toBe(read("Dockerfile.cpu.rego"));
    expect(read("Dockerfile.gpu.dockerignore")).toBe(read("Dockerfile.cpu.dockerignore"));
  });
});

describe.each(variantNames)("the Dockerfile of %s", (variant) => {
  const text = readFileSync(join(root, variants[variant].dockerfile), "utf8");

  test("has at most 300 lines, and opens each stage with one line that says what it is for", () => {
    expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(300);
    expect(stages(text).size).toBe(DockerfileParser.parse(text).getFROMs().length);
  });

  test("keeps each pin inside the stage that uses it", () => {
    for (const [stage, { arg }] of [
      ["shape-predictor", models.shapePredictor],
      ["codeformer", models.codeformer],
      ["u2net", models.u2net],
    ] as const) {
      expect(stages(text).get(stage)).toMatch(new RegExp(`^ARG ${arg}_SHA256=[0-9a-f]{64}$`, "m"));
    }
  });

  test("names each script that it uses, and each of them is there", async () => {
    const used = [...text.matchAll(/--from=tools ((?:\/\S+ )+)/g)].flatMap(
      ([, files]) => files?.trim().split(" ") ?? [],
    );
    const ofGpu = ["gpu-identity", "gpu.py"];
    const listed = (await listScripts()).filter((name) => variant === "gpu" || !ofGpu.includes(name));
    expect([...new Set(used)].map((path) => path.slice(1)).sort()).toEqual(listed);
  });

  test("says of the image what the program says", () => {
    const args = readArgs(text);
    expect(args.get("DESCRIPTION")).toBe(variants[variant].description);
    expect(stages(text).get("device")).toContain(`FACECRAFT_DEVICE=${variants[variant].device}`);
  });

  test("is built by the command that the documents give", () => {
    const [line] = /docker build -f .*/.exec(text) ?? [];
    expect(line).toContain(`-f ${variants[variant].dockerfile} `);
    for (const document of ["README.md", "docs/images.md"]) {
      expect(readFileSync(join(root, document), "utf8")).toContain(line?.replaceAll(variant, "cpu"));
    }
  });
});

describe("the scripts", () => {
  const script = (name: string) => readFileSync(join(root, "docker/scripts", name), "utf8");

  test("boot and check what the image's config names", () => {
    const dockerfile = DockerfileParser.parse(cpu);
    const booted = (name: string) => new RegExp(`^${name} = (.*)$`, "m").exec(script("boot.py"))?.[1];
    expect(booted("COMMAND")).toBe(dockerfile.getCMDs().at(-1)?.getArgumentsContent());
    expect(booted("HEALTHCHECK")).toBe(JSON.stringify(healthcheckProbe.command));
  });

  test("look for the models where the program says that they are, and call them the same", () => {
    const listed = /^MODELS = \{([^}]*)\}$/m.exec(script("image.py"))?.[1]?.replace(/,\s*$/, "");
    const titles = Object.values(models).map(({ file, title }) => [file, title]);
    expect(Object.entries(JSON.parse(`{${listed}}`))).toEqual(titles);
    for (const { file } of Object.values(models)) {
      expect(cpu).toContain(` ${file}`);
    }
  });

  test("ask for a portrait with a picture that is there, as it was taken from its source", () => {
    const { picture, expected } = JSON.parse(script("portrait.json"));
    const bytes = readFileSync(join(root, "docker/scripts", picture));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(readFileSync(join(root, "docs/images.md"), "utf8")).toContain(sha256);
    expect(expected).toEqual({ status: 200, type: "image/png", width: 648, height: 648 });
  });

  test("name the build args of their steps, which the application does not see", () => {
    const listed = /^ARGS = \(([^)]*)\)$/m.exec(script("boot.py"))?.[1]?.match(/\w+/g);
    const booted = stages(cpu)
      .get("proof")
      ?.split(/(?:prove|boot)\.py\n/)[1];
    expect(booted?.match(/(?<=^ARG )\w+/gm)).toEqual(listed);
  });

  test("can be run, those that are run", async () => {
    for (const name of (await listScripts()).filter((name) => script(name).startsWith("#!"))) {
      expect(statSync(join(root, "docker/scripts", name)).mode & 0o100, name).toBe(0o100);
    }
  });
});

test("the health check, the command and the port stand once", () => {
  for (const text of [cpu, gpu]) {
    expect(text.match(/\/ready/g)).toHaveLength(1);
    expect(text.match(/\b8000\b/g)).toHaveLength(1);
    expect(text).not.toContain("uvicorn");
  }
  expect(readDockerfile("docker/Dockerfile.cpu").healthcheck).toMatchObject({ path: "/ready", port: 8000 });
});
