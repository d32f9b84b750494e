import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { dockerHost } from "../../deploy/compose/dockerHost.ts";

let folder: string;
const file = { name: "facecraft", services: { facecraft: { image: "a@sha256:b" } }, volumes: {} };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-docker-"));
  vi.stubEnv("PATH", `${folder}:/usr/bin:/bin`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A program on the PATH that notes what it was asked and given, and then runs a script. */
function program(name: string, script: string): void {
  const noting = `echo "${name} $*" >>${folder}/asked; [ -t 0 ] || cat >${folder}/given`;
  writeFileSync(join(folder, name), `#!/bin/sh\n${noting}\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

const asked = () => readFileSync(join(folder, "asked"), "utf8").trim().split("\n");
const container = (status: string) =>
  `case "$*" in *"container ls"*) echo 1;; *inspect*) echo '[{"Config":{"Labels":{}},"State":{"Health":{"Status":"${status}"}}}]';; esac`;

describe("a Docker host", () => {
  test("gets the Compose file by standard input, which names no file of this machine", async () => {
    program("docker", `case "$*" in *--detach*) cp ${folder}/given ${folder}/composed;; esac; ${container("healthy")}`);
    await (await dockerHost()).up(file, 5);
    expect(asked()).toContain(
      "docker compose --project-name facecraft --file - up --detach --remove-orphans --quiet-pull --wait --wait-timeout 5",
    );
    const composed = JSON.parse(readFileSync(join(folder, "composed"), "utf8"));
    expect(composed.services.facecraft.image).toBe("a@sha256:b");
  });

  test("is believed about a container's health, and about nothing else", async () => {
    program("docker", container("starting"));
    await expect((await dockerHost()).up(file, 5)).rejects.toThrow("the container is starting after 5 s");
  });

  test("that refuses is told by the last line that it said, or else by the command", async () => {
    program("docker", `case "$*" in *logs*) echo progress >&2; echo no such image >&2; exit 1;; *down*) exit 3;; esac`);
    const host = await dockerHost();
    await expect(host.logs("facecraft")).rejects.toThrow(/^no such image$/);
    await expect(host.down("facecraft", { volumes: false })).rejects.toThrow(/exit code 3: docker compose .*down/);
  });

  test("may have Compose as a program of its own, and must have one", async () => {
    program("docker", "exit 1");
    await expect(dockerHost()).rejects.toThrow("Docker Compose is missing");
    program("docker-compose", "echo the log");
    expect(await (await dockerHost()).logs("facecraft")).toBe("the log");
    rmSync(join(folder, "docker"));
    rmSync(join(folder, "docker-compose"));
    await expect(dockerHost()).rejects.toThrow("Docker Compose is missing");
  });
});
