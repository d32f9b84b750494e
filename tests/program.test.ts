import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";
import { afterAll, describe, expect, test, vi } from "vitest";
import { variantNames, variants } from "../plan/variants.ts";

interface Registered {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

let runs = 0;

/** An application in a repository of its own, committed at a known time. */
const source = mkdtempSync(join(tmpdir(), "facecraft-app-"));
mkdirSync(join(source, "src/facecraft"), { recursive: true });
writeFileSync(join(source, "requirements.txt"), "torch==2.0.1\n");
writeFileSync(join(source, "requirements-gpu.txt"), "torch==2.0.1+cu118\n");
writeFileSync(join(source, "src/facecraft/main.py"), "app = None\n");
const git = (...args: string[]) => {
  const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
  const env = { ...process.env, GIT_COMMITTER_DATE: "1700000000 +0000" };
  return execFileSync("git", [...identity, ...args], { cwd: source, env, encoding: "utf8" }).trim();
};
git("init", "-q");
git("add", "--all");
git("commit", "-qm", "The application");
const commit = git("rev-parse", "HEAD");
afterAll(() => rmSync(source, { recursive: true }));

const proven = '{"digest":"sha256:0","proof":{"torch":"2.0.1+cpu","cuda":null,"portrait":"passed"}}';

/** Runs the program as a preview of a stack with this config, and returns what it registers and what it exports. */
async function runProgram(config: Record<string, unknown>, asked: string[] = [], said = proven) {
  const registered: Registered[] = [];
  // The mocks are not told what a resource waits for, but the engine that they play is.
  const requests = vi.spyOn(MockMonitor.prototype, "registerResource");
  await pulumi.runtime.setMocks(
    {
      newResource({ type, name, inputs }) {
        asked.push(name);
        registered.push({ type, name, inputs });
        // Like the real one: what comes out of a secret is secret.
        const stdout = JSON.stringify(inputs).includes("REGISTRY_PASSWORD") ? pulumi.secret(said) : said;
        const computed: Record<string, object> = {
          "docker-build:index:Image": { contextHash: "hash-of-context", digest: `sha256:${"d".repeat(64)}` },
          "command:local:Command": { stdout },
          "random:index/randomId:RandomId": { hex: "0badcafe" },
          "pulumi-nodejs:dynamic/facecraft:ReleaseSignature": { signature: "s@1", sbom: "b@2", provenance: "p@3" },
          "pulumi-nodejs:dynamic/facecraft:ModelChecksum": { sizeBytes: 42, url: "https://mirror/model" },
        };
        return { id: `${name}-id`, state: { ...inputs, ...computed[type] } };
      },
      call: ({ token }) => {
        throw new Error(`the program calls ${token}`);
      },
    },
    "facecraft",
    "test",
    true,
  );
  const values = Object.entries(config).map(([key, value]) => [
    `facecraft:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  pulumi.runtime.setAllConfig(Object.fromEntries(values), ["facecraft:registryAuth", "facecraft:signing"]);
  // Each run is a program of its own.
  const program = await import(`../index.ts?run=${++runs}`);
  const outputs = await new Promise<Record<string, unknown>>((resolve) =>
    pulumi.output({ ...program } as Record<string, pulumi.Input<unknown>>).apply((all) => resolve(all)),
  );
  // What is still on its way must arrive before the next run replaces the mocks.
  await pulumi.runtime.disconnect(false);
  const only = (type: string) => registered.filter((resource) => resource.type.includes(type));
  const images = only("docker-build:index:Image");
  const waits = requests.mock.calls.map(([request]): [string, string[]] => [
    request.getName(),
    request.getDependenciesList().map((urn: string) => urn.split("::").at(-1) ?? ""),
  ]);
  requests.mockRestore();
  return {
    outputs,
    isSecret: (name: string) => pulumi.isSecret(program[name]),
    registered,
    dependencies: Object.fromEntries(waits),
    proof: images.find(({ name }) => name === "facecraft-proof")?.inputs ?? {},
    release: images.find(({ name }) => name === "facecraft-release")?.inputs ?? {},
    keepers: only("RandomId")[0]?.inputs.keepers as Record<string, string>,
    commands: only("command:local:Command"),
    checksums: only("ModelChecksum"),
    tags: only("PublishedTags")[0]?.inputs,
    components: only("facecraft:index:FacecraftImage"),
    signature: only("ReleaseSignature")[0]?.inputs,
  };
}

const cpu = {
  variant: "cpu",
  version: "1.2.3",
  source,
  repository: "docker.io/djok/facecraft",
  baseImages: { python: `python:3.11-slim@sha256:${"b".repeat(64)}` },
};

describe("the program", () => {
  test("gives the image every label of the contract", async () => {
    const { release } = await runProgram(cpu);
    const label = (key: string) => `org.opencontainers.image.${key}`;
    expect(release.labels).toEqual({
      [label("source")]: "https://github.com/djok/facecraft",
      [label("version")]: "1.2.3",
      [label("revision")]: commit,
      [label("description")]: expect.stringContaining("CPU"),
      [label("licenses")]: "MIT",
      [label("title")]: "facecraft",
      [label("vendor")]: "OBVT Toolbox",
      [label("base.name")]: "python:3.11-slim",
      [label("base.digest")]: `sha256:${"b".repeat(64)}`,
    });
  });

  test.each([
    ["cpu", "https://download.pytorch.org/whl/cpu", "docker/Dockerfile.cpu"],
    ["gpu", "https://download.pytorch.org/whl/cu118", "docker/Dockerfile.gpu"],
  ])("builds %s with its torch index and its pins", async (variant, index, dockerfile) => {
    const { proof, release, outputs } = await runProgram({ ...cpu, variant });
    for (const image of [proof, release]) {
      expect(image.dockerfile).toEqual({ location: dockerfile });
      expect(image.buildArgs).toMatchObject({
        TORCH_INDEX_URL: index,
        SHAPE_PREDICTOR_SHA256: "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        CODEFORMER_SHA256: "1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
        U2NET_SHA256: "01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c",
      });
    }
    expect(outputs.torchIndexUrl).toBe(index);
  });

  test.each(variantNames)(
    "asks for the platforms of %s by their names, whatever the builder's own is",
    async (variant) => {
      const { platforms } = variants[variant];
      for (const given of [[], platforms]) {
        const { proof, release, keepers, commands } = await runProgram({ ...cpu, variant, platforms: given });
        expect([proof.platforms, release.platforms]).toEqual([platforms, platforms]);
        expect(keepers.platforms).toBe(platforms.join(","));
        const { EXPECTED = "{}" } = (commands[0]?.inputs.environment ?? {}) as { EXPECTED?: string };
        expect(JSON.parse(EXPECTED).platforms).toEqual(platforms);
      }
    },
  );

  test("has a proof that a preview can build: nothing of it is unknown, empty, tagged or exported", async () => {
    const compressed = { urls: ["https://mirror/model.dat.bz2"], sha256: "a".repeat(64) };
    const { proof } = await runProgram({ ...cpu, models: { shapePredictor: compressed } });
    expect(proof).toMatchObject({ target: "proof", push: false, buildOnPreview: true, exports: [{ cacheonly: {} }] });
    expect(proof).not.toHaveProperty("tags");
    expect(Object.entries(proof.buildArgs as object).filter(([, value]) => value === "")).toEqual([]);
  });

  test("proves without waiting for anything, and releases only what is proven and whose models are verified", async () => {
    const { dependencies } = await runProgram(cpu);
    const verifiedAndProven = ["codeformer", "facecraft-proof", "shapePredictor", "u2net"];
    expect(dependencies["facecraft-proof"]).toEqual([]);
    expect(dependencies["facecraft-suffix"]?.toSorted()).toEqual(verifiedAndProven);
    expect(dependencies["facecraft-release"]).toEqual(expect.arrayContaining(verifiedAndProven));
  });

  test("starts no download for a stack that could not be built", async () => {
    const asked: string[] = [];
    await expect(runProgram({ ...cpu, source: "docker" }, asked)).rejects.toThrow("which has no requirements.txt");
    await expect(runProgram({ ...cpu, platforms: ["linux/mips128"] }, asked)).rejects.toThrow("can be built for");
    await expect(runProgram({ ...cpu, builder: "nobody" }, asked)).rejects.toThrow("buildx has no such builder");
    expect(asked.filter((name) => name !== "facecraft-test")).toEqual([]);
  });

  test("pushes the release by an export, never by `push`, under a moving and an immutable tag", async () => {
    const { release } = await runProgram(cpu);
    expect(release).toMatchObject({
      push: false,
      buildOnPreview: false,
      exports: [{ raw: expect.stringContaining("type=registry") }],
      tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.3-cpu-0badcafe"],
    });
    expect(JSON.stringify(release)).not.toContain(":latest");
  });

  test("hands everything over that a deploy stack relies on", async () => {
    const { outputs } = await runProgram(cpu);
    const digest = `sha256:${"d".repeat(64)}`;
    expect(outputs).toMatchObject({
      imageRef: `docker.io/djok/facecraft:1.2.3-cpu-0badcafe@${digest}`,
      digest,
      variant: "cpu",
      version: "1.2.3",
      revision: commit,
      healthcheck: { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "180s", retries: 3 },
      models: {
        codeformer: { file: "/app/models/codeformer/codeformer.pth", sizeBytes: 42, url: "https://mirror/model" },
      },
    });
    expect(Object.keys(outputs.models as object)).toEqual(["shapePredictor", "codeformer", "u2net"]);
    expect(outputs.proof).toEqual({ torch: "2.0.1+cpu", cuda: null, portrait: "passed" });
  });

  test("compares what is published with what the stack asks of its proof", async () => {
    const asked = {
      network: "allowed",
      unusedModels: ["codeformer"],
      proofEnvironment: { MODEL_CHECKSUM_DISABLED: "1" },
    };
    const { commands } = await runProgram({ ...cpu, ...asked });
    const { EXPECTED = "{}" } = (commands[0]?.inputs.environment ?? {}) as { EXPECTED?: string };
    expect(JSON.parse(EXPECTED).proof).toEqual({
      boots: true,
      unusedModels: ["/app/models/codeformer/codeformer.pth"],
      network: "allowed",
      environment: { MODEL_CHECKSUM_DISABLED: "1" },
      onGpu: false,
    });
  });

  test.each(["", "{}", '{"packages":{},"boot":"passed"}', "no JSON"])(
    "has nothing to hand over of a proof where an earlier version said %j of it",
    async (said) => {
      expect((await runProgram(cpu, [], said)).outputs.proof).toEqual({});
    },
  );

  test("has what is asked of the proof in its plan", async () => {
    const { components } = await runProgram({ ...cpu, unusedModels: ["codeformer"] });
    expect(components[0]?.inputs.proof).toMatchObject({
      request: {
        method: "POST",
        path: "/api/v1/process/quick",
        expected: { type: "image/png", width: 648, height: 648 },
      },
      unusedModels: ["codeformer"],
      network: "refused",
      gpuProof: "off",
    });
  });

  test("hands its proof over in the open, though the command that reads it was given a password", async () => {
    const registryAuth = { address: "docker.io", username: "djok", password: "hunter2" };
    const { isSecret } = await runProgram({ ...cpu, registryAuth });
    expect(await isSecret("proof")).toBe(false);
  });

  test("watches over both tags of what it pushed, with the credentials as a secret", async () => {
    const registryAuth = { address: "docker.io", username: "djok", password: "hunter2" };
    const { tags } = await runProgram({ ...cpu, registryAuth });
    expect(tags).toEqual({
      repository: "docker.io/djok/facecraft",
      moving: "cpu",
      immutable: "1.2.3-cpu-0badcafe",
      digest: `sha256:${"d".repeat(64)}`,
      username: "djok",
      password: expect.anything(),
      __provider: expect.any(String),
    });
    expect((await runProgram({ ...cpu, push: "false" })).tags).toBeUndefined();
  });

  test("builds and proves only, when nothing is to be pushed", async () => {
    const { release, outputs, commands } = await runProgram({ ...cpu, push: "false" });
    expect(release.exports).toEqual([{ cacheonly: {} }]);
    expect(commands).toEqual([]);
    expect(outputs).toMatchObject({ imageRef: "", digest: "" });
    expect(outputs.proof).toEqual({});
  });

  test("lets the builder download from the first mirror that it can reach", async () => {
    const urls = ["file:///mirror/u2net.onnx", "https://mirror/u2net.onnx", "https://other/u2net.onnx"];
    const { release, checksums } = await runProgram({ ...cpu, models: { u2net: { urls } } });
    expect(release.buildArgs).toMatchObject({ U2NET_URL: urls[1] });
    expect(checksums.find(({ name }) => name === "u2net")?.inputs.urls).toEqual(urls);
    await expect(runProgram({ ...cpu, models: { u2net: { urls: urls.slice(0, 1) } } })).rejects.toThrow(
      /facecraft:models\.u2net\.urls is .*at least one http or https URL/,
    );
  });

  test("dates the image by the commit of its source", async () => {
    const { release } = await runProgram(cpu);
    expect(release.buildArgs).toMatchObject({ SOURCE_DATE_EPOCH: "1700000000" });
  });

  test("passes credentials as secrets, and never into the environment of a build", async () => {
    const registryAuth = { address: "docker.io", username: "djok", password: "hunter2" };
    const { proof, release } = await runProgram({ ...cpu, registryAuth });
    expect(JSON.stringify(proof.buildArgs)).not.toContain("hunter2");
    expect(JSON.stringify(release.registries)).toContain("djok");
  });

  test("writes the build cache with a release only, and reads it always", async () => {
    const { proof, release } = await runProgram({ ...cpu, cacheRepository: "docker.io/djok/cache" });
    const ref = "docker.io/djok/cache:buildcache-cpu";
    expect(proof.cacheFrom).toEqual([{ registry: { ref } }]);
    expect(proof).not.toHaveProperty("cacheTo");
    expect(release.cacheTo).toEqual([
      { registry: { ref, mode: "max", imageManifest: true, compression: "zstd", compressionLevel: 1 } },
    ]);
  });
});

describe("a release that is signed", () => {
  const signed = { ...cpu, signing: { key: "env://COSIGN_KEY", password: "hunter2" } };

  test("is pushed without its moving tag, which names it when it is compared and signed", async () => {
    const { release, dependencies, tags, commands, outputs } = await runProgram(signed);
    expect(release.tags).toEqual(["docker.io/djok/facecraft:1.2.3-cpu-0badcafe"]);
    const { EXPECTED = "{}" } = (commands[0]?.inputs.environment ?? {}) as { EXPECTED?: string };
    expect(JSON.parse(EXPECTED).tags).toEqual(["1.2.3-cpu-0badcafe"]);
    expect(dependencies["facecraft-published"]).not.toContain("facecraft-tags");
    expect(dependencies["facecraft-signature"]).toContain("facecraft-published");
    expect(dependencies["facecraft-tags"]).toContain("facecraft-signature");
    expect(tags).toMatchObject({ moving: "cpu", immutable: "1.2.3-cpu-0badcafe" });
    expect(outputs).toMatchObject({
      tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.3-cpu-0badcafe"],
      ...{ signature: "s@1", sbom: "b@2", provenance: "p@3" },
    });
  });

  test("says by its provenance what it is made of, and no secret", async () => {
    const { signature, release } = await runProgram({ ...signed, models: { u2net: { sha256: "f".repeat(64) } } });
    expect(signature).toMatchObject({
      repository: "docker.io/djok/facecraft",
      digest: `sha256:${"d".repeat(64)}`,
      key: "env://COSIGN_KEY",
      madeFrom: {
        ...{ variant: "cpu", version: "1.2.3", revision: commit, source: "." },
        dockerfile: { path: "docker/Dockerfile.cpu", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
        scriptsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        buildArgs: release.buildArgs,
        bases: [{ name: "python:3.11-slim", digest: `sha256:${"b".repeat(64)}` }],
        platforms: ["linux/amd64"],
      },
    });
    const { models } = (signature?.madeFrom ?? {}) as { models: { name: string; sha256: string }[] };
    expect(models.map(({ name }) => name)).toEqual(["shapePredictor", "codeformer", "u2net"]);
    expect(models[2]?.sha256).toBe("f".repeat(64));
    expect(JSON.stringify(signature?.madeFrom)).not.toContain("hunter2");
  });

  test("is the same image, under the same immutable tag, as one that is not", async () => {
    expect((await runProgram(signed)).keepers).toEqual((await runProgram(cpu)).keepers);
  });

  test("is none where nothing is pushed, or nobody signs", async () => {
    for (const config of [{ ...signed, push: "false" }, cpu]) {
      const { signature, outputs, components } = await runProgram(config);
      expect(signature).toBeUndefined();
      expect(outputs).toMatchObject({ signature: "", sbom: "", provenance: "" });
      expect(components[0]?.inputs.signed).toBe(false);
    }
  });
});

// An immutable tag must never come to mean other bytes: whatever changes the release changes the suffix's keepers.
describe("the suffix of the immutable tag", () => {
  test.each([
    ["version", { version: "1.2.4" }],
    ["repository's base image", { baseImages: { python: `python:3.11-slim@sha256:${"e".repeat(64)}` } }],
    ["torch index", { torchIndexUrl: "https://mirror/whl/cpu" }],
    ["package index", { pipIndexUrl: "https://mirror/simple" }],
    ["pin of a model", { models: { u2net: { sha256: "f".repeat(64) } } }],
    ["boot in the proof", { smokeTest: "false" }],
    ["models that nobody need open", { unusedModels: ["codeformer"] }],
    ["watch over the network", { network: "allowed" }],
    ["environment of the proof", { proofEnvironment: { A: "1" } }],
    ["constraints", { constraints: "app/requirements.txt" }],
    ["commit of a git source", { source: `https://github.com/djok/facecraft.git#${"1".repeat(40)}` }],
    ["variant", { variant: "gpu", baseImages: {} }],
  ])("changes with the %s", async (_what, change) => {
    const before = await runProgram(cpu);
    const after = await runProgram({ ...cpu, ...change });
    expect(after.keepers).not.toEqual(before.keepers);
  });

  test("stays when nothing that the image is made of changes", async () => {
    const before = await runProgram(cpu);
    const after = await runProgram({ ...cpu, cacheRepository: "docker.io/djok/cache", push: "true" });
    expect(after.keepers).toEqual(before.keepers);
  });

  test("takes every build arg and label into account", async () => {
    const { keepers, release } = await runProgram(cpu);
    expect(keepers).toMatchObject({ ...(release.buildArgs as object), ...(release.labels as object) });
    expect(keepers.context).toBe("hash-of-context");
  });
});
