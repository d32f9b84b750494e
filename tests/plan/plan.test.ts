import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Config, parseConfig } from "../../plan/config.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { planRelease } from "../../plan/plan.ts";
import { proofRemarks } from "../../plan/proof.ts";
import { variantNames, variants } from "../../plan/variants.ts";

const source = { context: "app", revision: "1".repeat(40), committedAt: 0, uncommitted: [] };

function plan(change: Partial<Config>) {
  const config = { ...parseConfig({ variant: "cpu", source: "app" }), ...change };
  const dockerfile = readDockerfile(variants[config.variant].dockerfile);
  return planRelease(config, dockerfile, source);
}

describe("the plan of a release", () => {
  test("takes the variant's own base images from the config, and leaves those of others", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const baseImages = { python: `mirror/python:3.11@${digest}`, cudaRuntime: `mirror/cuda:runtime@${digest}` };
    const { buildArgs, labels } = plan({ baseImages });
    expect(buildArgs.PYTHON_IMAGE).toBe(baseImages.python);
    expect(labels).toMatchObject({
      "org.opencontainers.image.base.name": "mirror/python:3.11",
      "org.opencontainers.image.base.digest": digest,
    });
    expect(Object.keys(buildArgs).filter((arg) => arg.endsWith("_IMAGE"))).toEqual(["PYTHON_IMAGE"]);
  });

  test.each([
    ["docker.io/library/python:3.11-slim", '"docker.io/library/python:3.11-slim"'],
    ["", '""'],
    [undefined, "not there"],
  ])("refuses a base without a digest in the Dockerfile: %j", (base, shown) => {
    const dockerfile = readDockerfile(variants.cpu.dockerfile);
    const { PYTHON_IMAGE: _, ...rest } = Object.fromEntries(dockerfile.args);
    const args = new Map(Object.entries({ ...rest, ...(base !== undefined && { PYTHON_IMAGE: base }) }));
    expect(() => planRelease(parseConfig({ variant: "cpu", source: "app" }), { ...dockerfile, args }, source)).toThrow(
      `ARG PYTHON_IMAGE in docker/Dockerfile.cpu is ${shown}; it must be an image with its digest ` +
        "(name:tag@sha256:<64 hex digits>); `make update-bases` pins it.",
    );
  });

  test("always names the platforms, because a builder's own may be one that the variant cannot be built for", () => {
    for (const variant of variantNames) {
      expect(plan({ variant }).platforms).toEqual(variants[variant].platforms);
      expect(plan({ variant, platforms: ["linux/amd64"] }).platforms).toEqual(["linux/amd64"]);
    }
  });

  test("refuses models that the builder cannot reach, without their credentials", () => {
    const models = { u2net: { urls: ["file:///u2net.onnx?token=hunter2"] } };
    expect(() => plan({ models })).toThrow(
      'facecraft:models.u2net.urls is ["file:///u2net.onnx?token=***"]; it must be a list with at least one http or https URL',
    );
  });

  test("keeps credentials out of everything but the build's secrets", () => {
    const {
      buildSecrets,
      models: _,
      ...rest
    } = plan({
      source: "https://u:S3CRET-git@git.example/app.git#1",
      torchIndexUrl: "https://u:S3CRET-torch@whl.example/whl/cpu",
      pipIndexUrl: "https://u:S3CRET-pip@pip.example/simple",
      models: { u2net: { urls: ["https://u:S3CRET-u2net@a.example/f.onnx"] }, codeformer: { token: "S3CRET-token" } },
    });
    expect(JSON.stringify(rest)).not.toContain("S3CRET");
    expect(rest).toMatchObject({ torchIndexUrl: "https://whl.example/whl/cpu", secretValues: [] });
    expect(buildSecrets).toEqual({
      "HTTP_AUTH_HEADER_a.example": `Basic ${btoa("u:S3CRET-u2net")}`,
      "HTTP_AUTH_TOKEN_github.com": "S3CRET-token",
      torch_index_url: "https://u:S3CRET-torch@whl.example/whl/cpu",
      pip_index_url: "https://u:S3CRET-pip@pip.example/simple",
    });
  });

  test("hands a git server its credential for the host of the source", () => {
    const git = { ...source, context: "https://u:S3CRET@git.example:8443/app.git#1" };
    const config = parseConfig({ variant: "cpu", source: "app" });
    const planned = planRelease(config, readDockerfile(variants.cpu.dockerfile), git);
    expect(planned.appContext).toBe("https://git.example:8443/app.git#1");
    expect(planned.buildSecrets).toEqual({ "GIT_AUTH_HEADER.git.example:8443": `Basic ${btoa("u:S3CRET")}` });
  });

  test("keeps secret what the stack's config keeps so, where no credential was the reason", () => {
    const config = { ...parseConfig({ variant: "cpu", source: "app" }), torchIndexUrl: "https://hidden.example/whl" };
    const dockerfile = readDockerfile(variants.cpu.dockerfile);
    expect(planRelease(config, dockerfile, source, (key) => key === "torchIndexUrl").secretValues).toEqual([
      "TORCH_INDEX_URL",
    ]);
  });

  test("lets the image not tell the URLs of models that the stack's config keeps secret", () => {
    const config = parseConfig({
      variant: "cpu",
      source: "app",
      models: JSON.stringify({ u2net: { urls: ["https://hidden.example/u2net.onnx"] } }),
    });
    const dockerfile = readDockerfile(variants.cpu.dockerfile);
    const planned = planRelease(config, dockerfile, source, (key) => key === "models");
    expect(planned.secretValues).toEqual(["U2NET_URL"]);
    expect(planned.buildArgs.UNTOLD_SOURCES).toBe("/home/appuser/.u2net/u2net_human_seg.onnx");
    expect(planRelease(config, dockerfile, source).buildArgs).not.toHaveProperty("UNTOLD_SOURCES");
  });

  test("passes nothing of the proof to the build that is as the Dockerfile has it", () => {
    const { buildArgs, proof, labels } = plan({});
    expect(Object.keys(buildArgs).filter((name) => /PROOF|UNUSED|SMOKE/.test(name))).toEqual([]);
    expect(proof).toMatchObject({
      boots: true,
      unusedModels: [],
      network: "refused",
      environment: {},
      gpuProof: "off",
    });
    expect(proof.request).toEqual(JSON.parse(readFileSync("docker/scripts/portrait.json", "utf8")));
    expect(labels).not.toHaveProperty("facecraft.proof.gpu");
    expect(proofRemarks(proof)).toEqual([]);
  });

  test("passes what the stack asks of the proof, in an order that is always the same", () => {
    const { buildArgs, proof } = plan({
      smokeTest: false,
      unusedModels: ["u2net", "codeformer"],
      network: "allowed",
      proofEnvironment: { B: "x=y z", A: "1" },
    });
    expect(buildArgs).toMatchObject({
      SMOKE_TEST: "0",
      UNUSED_MODELS: "/app/models/codeformer/codeformer.pth /home/appuser/.u2net/u2net_human_seg.onnx",
      PROOF_NETWORK: "allowed",
      PROOF_ENVIRONMENT: "A=1\nB=x=y z",
    });
    expect(proof.unusedModels).toEqual(["codeformer", "u2net"]);
  });

  test("says of a gpu image on what it is proven, in a label that a preview knows", () => {
    const name = "NVIDIA A10, driver 535.104.05";
    const gpu = { name, identity: `${name}, 0123456789abcdef` };
    const dockerfile = readDockerfile(variants.gpu.dockerfile);
    const config = parseConfig({ variant: "gpu", source: "app" });
    expect(planRelease(config, dockerfile, source, undefined, { gpu })).toMatchObject({
      labels: { "facecraft.proof.gpu": name },
      proof: { gpuProof: "auto", gpu: name },
      buildArgs: { GPU_PROOF: "required", GPU_IDENTITY: gpu.identity },
    });
    expect(planRelease(config, dockerfile, source).labels).toMatchObject({ "facecraft.proof.gpu": "not proven" });
  });

  test("tells what a proof would not show", () => {
    const said = (variant: "cpu" | "gpu", change: Partial<Config>) =>
      proofRemarks(plan({ variant, ...change }).proof).map(({ severity, message }) => `${severity}: ${message}`);
    expect(said("cpu", { smokeTest: false, network: "allowed" })).toEqual([
      "warn: facecraft:smokeTest is false: the application is not started in the proof, so nobody knows whether it answers " +
        "a portrait, which models it opens, and whom it asks.",
    ]);
    expect(said("cpu", { network: "allowed", unusedModels: ["codeformer"] })).toEqual([
      "warn: facecraft:network is allowed: an application that tries to reach the network in the proof is released.",
      "info: facecraft:unusedModels: CodeFormer is in the image though the application does not open it.",
    ]);
    const dockerfile = readDockerfile(variants.gpu.dockerfile);
    const config = parseConfig({ variant: "gpu", source: "app" });
    const remark = { severity: "warn", message: "Nobody knows." } as const;
    expect(proofRemarks(planRelease(config, dockerfile, source, undefined, { without: remark }).proof)).toEqual([
      remark,
    ]);
    const gpu = { name: "NVIDIA A10, driver 535.104.05", identity: "" };
    expect(proofRemarks(planRelease(config, dockerfile, source, undefined, { gpu }).proof)).toEqual([
      { severity: "info", message: "The image is proven on a GPU of the builder: NVIDIA A10, driver 535.104.05." },
    ]);
  });

  test.each([
    ["FACECRAFT_PORT", "docker/Dockerfile.cpu sets it for the image (ENV)"],
    ["FACECRAFT_DEVICE", "docker/Dockerfile.cpu sets it for the image (ENV)"],
    ["PATH", "docker/Dockerfile.cpu sets it for the image (ENV)"],
    ["LD_PRELOAD", "it decides which code runs"],
    ["PYTHONSTARTUP", "it decides which code runs"],
  ])("refuses a variable that would make the proof one of another image: %s", (name, reason) => {
    expect(() => plan({ proofEnvironment: { MODEL_CHECKSUM_DISABLED: "1", [name]: "x" } })).toThrow(
      `facecraft:proofEnvironment.${name} must be left out: ${reason}, and the proof is of the image as it is.`,
    );
  });
});
