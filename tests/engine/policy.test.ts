import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { modelNames } from "../../plan/models.ts";
import { accepted, label, pin } from "../policy/accepted.ts";
import { type Result, run } from "../run.ts";

const top = mkdtempSync(join(tmpdir(), "facecraft-policy-"));
const program = join(top, "program");
let env: NodeJS.ProcessEnv;

/** A release as the image program makes it, with its resources' inputs in a file, so that a test can break one. */
const index = `
import * as docker from "@pulumi/docker-build";
import * as random from "@pulumi/random";
import { interpolate, getStack } from "@pulumi/pulumi";
import { ModelChecksum } from ${JSON.stringify(join(root, "components/modelChecksum.ts"))};
import { inputs, models, options } from "./inputs.ts";

const checksums = Object.entries(models).map(([name, sha256]) =>
  new ModelChecksum(name, { urls: ["https://example.org/" + name], sha256, file: "/" + name }));
const suffix = new random.RandomId("suffix", { byteLength: 4 });
const tags = inputs.tags.map((tag) => tag.includes("SUFFIX") ? interpolate\`\${tag.replace("SUFFIX", "")}\${suffix.hex}\` : tag);
new docker.Image("release", { ...inputs, tags, buildOnPreview: false }, { dependsOn: checksums, ...options });
`;

const models: Record<string, string> = Object.fromEntries(modelNames.map((name) => [name, pin]));
const inputs = {
  ...accepted,
  context: { location: "." },
  tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.0-cpu-SUFFIX"],
  exports: [{ raw: "type=registry" }],
};

beforeAll(async () => {
  mkdirSync(join(program, "docker"), { recursive: true });
  writeFileSync(
    join(program, "Pulumi.yaml"),
    "name: judged\nmain: index.ts\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(program, "package.json"), '{"type":"module"}');
  writeFileSync(join(program, "index.ts"), index);
  writeFileSync(join(program, "docker/Dockerfile.cpu"), "FROM scratch\n");
  writeFileSync(join(program, "docker/Dockerfile.gpu"), "FROM scratch\n");
  // The provider of ModelChecksum is found from the program's folder.
  for (const name of ["node_modules", "components", "artifacts"]) {
    symlinkSync(join(root, name), join(program, name));
  }
  env = await localEnvironment(join(top, "state"));
  await output("pulumi", ["stack", "select", "--create", "test"], { cwd: program, env });
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

async function judge(
  change: object,
  pack = "policy/index.ts",
  {
    verified = models,
    args = [],
    more = {},
    options = {},
  }: { verified?: Record<string, string>; args?: string[]; more?: object; options?: object } = {},
): Promise<Result> {
  const values = { inputs: { ...inputs, ...change }, models: verified, options: { retainOnDelete: true, ...options } };
  const lines = Object.entries(values).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
  writeFileSync(join(program, "inputs.ts"), lines.join("\n"));
  const all = ["preview", "--stack", "test", "--non-interactive", "--policy-pack", join(root, pack), ...args];
  return run(["pulumi", ...all], program, { ...env, ...more });
}

describe("the policy pack", () => {
  test("lets a release pass, whose suffix is not known yet", async () => {
    const { code, text } = await judge({});
    expect(text).toContain("✅ facecraft@v1.0.0");
    expect(text).not.toContain("[advisory]");
    expect({ code, text }).toSucceed();
  });

  const args = (change: object) => ({ buildArgs: { ...inputs.buildArgs, ...change } });
  const { [label("vendor")]: _, ...unlabelled } = inputs.labels;
  test.each<[string, object]>([
    ["no-latest-tag", { tags: [...inputs.tags, "docker.io/djok/facecraft:latest"] }],
    ["immutable-tag", { tags: ["docker.io/djok/facecraft:cpu"] }],
    ["labels", { labels: unlabelled }],
    ["pinned-models", args({ U2NET_SHA256: "abc" })],
    ["verified-models", args({ U2NET_SHA256: "d".repeat(64) })],
    ["torch-index", args({ TORCH_INDEX_URL: "https://download.pytorch.org/whl/cu118" })],
    ["pinned-base", args({ PYTHON_IMAGE: "docker.io/library/python:3.11-slim" })],
    ["no-secrets", args({ API_KEY: "x" })],
    ["seen-by-previews", { push: true, exports: [] }],
    ["allowed-registries", { tags: ["quay.io/x/y:cpu", "quay.io/x/y:1.2.0-cpu-SUFFIX"] }],
  ])("stops a preview that breaks %s", async (rule, change) => {
    const { code, text } = await judge(change);
    expect(text).toContain(`[mandatory]  ${rule}  (docker-build:index:Image: release)`);
    expect(code).not.toBe(0);
  });

  const onGpu = {
    dockerfile: { location: "docker/Dockerfile.gpu" },
    buildArgs: {
      ...inputs.buildArgs,
      CUDA_RUNTIME_IMAGE: inputs.buildArgs.PYTHON_IMAGE,
      TORCH_INDEX_URL: "https://download.pytorch.org/whl/cu118",
    },
    labels: { ...inputs.labels, "facecraft.proof.gpu": "not proven" },
    tags: ["docker.io/djok/facecraft:gpu", "docker.io/djok/facecraft:1.2.0-gpu-SUFFIX"],
  };

  test("only warns of a gpu image that no GPU has proven, unless its config makes more of it", async () => {
    const { code, text } = await judge(onGpu);
    expect(text).toContain("[advisory]  proven-on-gpu  (docker-build:index:Image: release)");
    expect({ code, text }).toSucceed();
    const config = join(top, "config.json");
    writeFileSync(config, JSON.stringify({ "proven-on-gpu": "mandatory" }));
    const refused = await judge(onGpu, "policy/index.ts", { args: ["--policy-pack-config", config] });
    expect(refused.text).toContain("[mandatory]  proven-on-gpu");
    expect(refused.code).not.toBe(0);
  });

  test("takes the bound on the start from its config, and refuses what is none", async () => {
    const config = join(top, "config.json");
    const given = { args: ["--policy-pack-config", config] };
    writeFileSync(config, JSON.stringify({ "ready-in-time": { maxReadySeconds: 10 } }));
    expect(await judge({}, "policy/index.ts", given)).toSucceed();
    writeFileSync(config, JSON.stringify({ "ready-in-time": { maxReadySeconds: 0 } }));
    const refused = await judge({}, "policy/index.ts", given);
    expect(refused.text).toMatch(/ready-in-time.*maxReadySeconds/s);
    expect(refused.code).not.toBe(0);
    const named = await judge({}, "policy/index.ts", { more: { FACECRAFT_MAX_READY_SECONDS: "soon" } });
    expect(named.text).toContain('FACECRAFT_MAX_READY_SECONDS is "soon"; it must be a number of seconds above 0.');
    expect(named.code).not.toBe(0);
  });

  test("allows the registries that its config or the environment names", async () => {
    const config = join(top, "config.json");
    writeFileSync(config, JSON.stringify({ "allowed-registries": { allowed: ["quay.io/x"] } }));
    const tags = ["quay.io/x/y:cpu", "quay.io/x/y:1.2.0-cpu-SUFFIX"];
    const { code, text } = await judge({ tags }, "policy/index.ts", { args: ["--policy-pack-config", config] });
    expect({ code, text }).toSucceed();
    const more = { FACECRAFT_ALLOWED_REGISTRIES: "quay.io" };
    expect(await judge({ tags }, "policy/index.ts", { more })).toSucceed();
  });

  test("stops an image before models are verified", async () => {
    const { code, text } = await judge({}, "policy/index.ts", { verified: { codeformer: pin } });
    expect(text).toContain('the stack has no ModelChecksum "u2net"');
    expect(code).not.toBe(0);
  });

  test("stops a release that does not wait for its models, whichever arrives first", async () => {
    const { code, text } = await judge({}, "policy/index.ts", { options: { dependsOn: [] } });
    expect(text).toMatch(/verified-models.*\(docker-build:index:Image: release\)/);
    expect(code).not.toBe(0);
  });

  test("lets a proof pass that waits for nothing", async () => {
    const proof = { tags: [], labels: {}, exports: [{ cacheonly: {} }] };
    const { code, text } = await judge(proof, "policy/index.ts", { options: { dependsOn: [] } });
    expect(text).toContain("✅ facecraft@v1.0.0");
    expect({ code, text }).toSucceed();
    const other = { ...args({ U2NET_SHA256: "d".repeat(64) }), ...proof };
    const refused = await judge(other, "policy/index.ts", { options: { dependsOn: [] } });
    expect(refused.text).toMatch(/verified-models.*\(docker-build:index:Image: release\)/);
    expect(refused.code).not.toBe(0);
  });

  // A stand-in for the language host cannot run packs, which is why the pack can start by itself.
  test.runIf(process.env.FACECRAFT_PULUMI_ARCHIVE)("runs through the real language host too", async () => {
    expect((await judge({}, "policy")).text).toContain("✅ facecraft@v1.0.0");
    const { code, text } = await judge(args({ API_KEY: "x" }), "policy");
    expect(text).toContain("[mandatory]  no-secrets");
    expect(code).not.toBe(0);
  });
});
