import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { builderFault } from "../../plan/builder.ts";

let folder: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-buildx-"));
  mkdirSync(join(folder, "instances"));
  vi.stubEnv("BUILDX_CONFIG", folder);
  vi.stubEnv("DOCKER_CONFIG", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function instance(driver: string, ...endpoints: string[]): void {
  const nodes = endpoints.map((endpoint, i) => ({ Name: `b${i}`, Endpoint: endpoint }));
  writeFileSync(join(folder, "instances/b"), JSON.stringify({ Name: "b", Driver: driver, Nodes: nodes }));
}

async function listen(where: string | number): Promise<AddressInfo | string | null> {
  server = createServer();
  await new Promise<void>((resolve) => server?.listen(where as number, resolve));
  return server.address();
}

describe("a builder", () => {
  test("that buildx does not know is told with the way to make one", async () => {
    expect(await builderFault("b")).toBe(
      "but buildx has no such builder; see `docker buildx ls`, or make one with `docker buildx create`",
    );
  });

  test("that listens on a socket or a port is taken", async () => {
    const socket = join(folder, "a b.sock");
    await listen(socket);
    instance("remote", `unix://${encodeURI(socket)}`);
    expect(await builderFault("b")).toBeUndefined();
    server?.close();
    const { port } = (await listen(0)) as AddressInfo;
    instance("remote", `tcp://localhost:${port}`);
    expect(await builderFault("b")).toBeUndefined();
  });

  test("of which one node listens is taken", async () => {
    await listen(join(folder, "b.sock"));
    instance("remote", "unix:///nowhere/buildkitd.sock", `unix://${join(folder, "b.sock")}`);
    expect(await builderFault("b")).toBeUndefined();
  });

  test("that died is told at once, with where it should be", async () => {
    instance("remote", "unix:///nowhere/buildkitd.sock");
    expect(await builderFault("b")).toBe(
      "but no BuildKit answers at unix:///nowhere/buildkitd.sock (ENOENT); start it",
    );
    const { port } = (await listen(0)) as AddressInfo;
    await new Promise((resolve) => server?.close(resolve));
    instance("remote", `tcp://127.0.0.1:${port}`);
    expect(await builderFault("b")).toBe(`but no BuildKit answers at tcp://127.0.0.1:${port} (ECONNREFUSED); start it`);
  });

  test.each(["", "{", "[]", "null", '{"Driver":"remote"}'])(
    "written down as %j is told to be made again",
    async (text) => {
      writeFileSync(join(folder, "instances/b"), text);
      const fault = await builderFault("b");
      if (text === "[]") {
        expect(fault).toBeUndefined(); // no driver: buildx is left to judge
      } else {
        expect(fault).toContain("cannot be read; make it again");
      }
    },
  );

  test("of a driver that Docker starts is left to Docker", async () => {
    instance("docker-container", "unix:///nowhere/docker.sock");
    expect(await builderFault("b")).toBeUndefined();
  });
});
