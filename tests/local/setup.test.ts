import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run, saidOfItself } from "../run.ts";

let tools: string;

beforeEach(() => {
  tools = mkdtempSync(join(tmpdir(), "facecraft-tools-"));
});
afterEach(() => rmSync(tools, { recursive: true, force: true }));

const local = (command: string, env: Record<string, string> = {}) =>
  run([process.execPath, "local/cli.ts", command], ".", { ...process.env, FACECRAFT_TOOLS: tools, ...env });

describe("setting up the local services", () => {
  test("names a port that is taken, before anything is downloaded or built", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const { code, text } = await local("setup", { FACECRAFT_REGISTRY_PORT: String(port) });
    other.close();

    expect(code).toBe(1);
    expect(text).toMatch(
      new RegExp(`^error: Port ${port}, which the local registry service uses, is taken by another program\\.`),
    );
    expect(text).toContain("FACECRAFT_REGISTRY_PORT");
    expect(text).not.toMatch(/^\s+at /m);
    expect(readdirSync(tools)).toEqual(["local"]);
    expect(existsSync(join(tools, "local", "artifacts"))).toBe(false);
  });

  test("refuses a port that is none", async () => {
    const { code, text } = await local("setup", { FACECRAFT_WHEELS_PORT: "http" });
    expect(code).toBe(1);
    expect(text).toBe('error: FACECRAFT_WHEELS_PORT is "http"; it must be a port from 1 to 65535.\n');
  });

  test("is needed by no command that only stops or explains", async () => {
    const down = await local("down");
    expect(down.code).toBe(0);
    expect(saidOfItself(down)).toBe("");
    const doctor = await local("doctor", { PATH: "/nowhere", GOROOT: "/nowhere" });
    expect(doctor.code).toBe(1);
    expect(doctor.text).toMatch(/git is missing, which tells the revision of the application: install it/);
    expect(doctor.text).toMatch(/There is no Go/);
  });
});
