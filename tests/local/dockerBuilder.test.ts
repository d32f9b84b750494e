import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chooseBuilder } from "../../local/builder.ts";
import { Docker, whyNoDocker } from "../../local/dockerClient.ts";
import { officialImage } from "../../local/dockerImage.ts";
import { root } from "../../local/paths.ts";
import { wantedVersion } from "../../local/versions.ts";
import { collect } from "../../scripts/upstream/collect.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-docker-"));
  vi.stubEnv("PATH", folder);
  vi.stubEnv("DOCKER_HOST", "unix:///nowhere/docker.sock");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Puts a `docker` on the PATH that does this. */
function docker(script: string): void {
  writeFileSync(join(folder, "docker"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "docker"), 0o755);
}

describe("a Docker that can have no builder", () => {
  test("is not installed", async () => {
    await expect(whyNoDocker()).resolves.toBe("there is no `docker` on the PATH");
  });

  test("does not answer", async () => {
    docker('echo "Cannot connect to the Docker daemon at $DOCKER_HOST." >&2; exit 1');
    await expect(whyNoDocker()).resolves.toBe(
      "no Docker answers at unix:///nowhere/docker.sock (Cannot connect to the Docker daemon at unix:///nowhere/docker.sock.)",
    );
  });

  test.each(["ssh://user@builder", "tcp://10.0.0.7:2376"])("is on another machine: %s", async (address) => {
    docker("echo linux");
    vi.stubEnv("DOCKER_HOST", address);
    await expect(whyNoDocker()).resolves.toBe(
      `the Docker at ${address} is on another machine, which does not reach the registry of this one`,
    );
  });

  test("runs no containers of Linux", async () => {
    docker("echo windows");
    await expect(whyNoDocker()).resolves.toContain("runs containers of windows, not of Linux");
  });

  test("is told where it is asked for", async () => {
    vi.stubEnv("FACECRAFT_BUILDER", "docker");
    await expect(chooseBuilder()).rejects.toThrow("FACECRAFT_BUILDER is docker, but there is no `docker` on the PATH.");
  });
});

test("the Docker that is taken is that of the context in use, where DOCKER_HOST names none", async () => {
  docker(
    '[ "$1 $2" = "context inspect" ] && echo unix:///here/docker.sock || { echo linux; echo "$DOCKER_CONTEXT" >&2; }',
  );
  vi.stubEnv("DOCKER_HOST", "");
  vi.stubEnv("DOCKER_CONTEXT", "here");
  const found = await Docker.users();
  expect(found.address).toBe("unix:///here/docker.sock");
  expect(found.env).toMatchObject({ DOCKER_HOST: "unix:///here/docker.sock" });
  expect(found.env).not.toHaveProperty("DOCKER_CONTEXT");
  await expect(found.fault()).resolves.toBeUndefined();
});

test("FACECRAFT_BUILDER takes Docker where one answers", async () => {
  docker("echo linux");
  vi.stubEnv("FACECRAFT_BUILDER", "docker");
  await expect(chooseBuilder()).resolves.toBe("docker");
});

test("the builder's image is of the BuildKit that is built here, and one of the things that are looked after upstream", () => {
  const image = officialImage();
  expect(image).toContain(`moby/buildkit:v${wantedVersion("buildkit")}@sha256:`);
  expect(collect(root)).toContainEqual(expect.objectContaining({ where: "local/tools/buildkit/Dockerfile" }));
});
