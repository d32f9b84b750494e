import { describe, expect, test } from "vitest";
import { type Config, parseConfig } from "../../plan/config.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { planRelease } from "../../plan/plan.ts";
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
});
