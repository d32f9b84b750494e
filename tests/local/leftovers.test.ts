import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRunning, run } from "../run.ts";

let top: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "facecraft-leftovers-"));
  env = { ...process.env, FACECRAFT_TOOLS: join(top, "tools") };
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

/** A process that changes the tools in the way that is given. */
const script = (work: string) => ["--input-type=module", "-e", `${modules}\nawait locked(async () => { ${work} });`];
const modules = `import { locked } from "./local/leftovers.ts"; import { markChildren } from "./local/updates.ts";
  import { spawn } from "node:child_process"; markChildren();`;
const change = (work: string) => run([process.execPath, ...script(work)], ".", env);

function write(path: string): string {
  const file = join(top, "tools", path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "half");
  return file;
}

test("what a killed set-up was working on is removed by the next one, and nothing else", async () => {
  const halves = [
    "base-a1B2c3/tree/etc/passwd",
    "head-start-q9R8s7/ca_bundle",
    "debian-Xyz012/lists/partial/x",
    "bin/buildkitd.new-4711",
    "libexec/pulumi.new-1",
    "downloads/registry-3.0.0.new-Ab12Cd/registry",
    "local/base/rootfs.tar.new",
    "local/wheels/0123456789ab.new-Zz9Zz9/index.html",
  ].map(write);
  const whole = [
    "bin/buildkitd",
    "bin/.buildkitd.json",
    "local/base/rootfs.tar",
    "local/wheels/0123456789ab/i.html",
  ].map(write);
  expect(await change("")).toMatchObject({ code: 0 });
  expect(halves.filter(existsSync)).toEqual([]);
  expect(whole.filter(existsSync)).toEqual(whole);
});

test("a program that a killed set-up had started is ended by the next one", async () => {
  const pidFile = join(top, "pid");
  const work = `const child = spawn("sleep", ["300"], { detached: true });
    (await import("node:fs")).writeFileSync(${JSON.stringify(pidFile)}, String(child.pid)); await new Promise(() => {});`;
  const killed = spawn(process.execPath, script(work), { env, stdio: "ignore" });
  while (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "") {
    expect(killed.exitCode).toBeNull();
    await sleep(50);
  }
  const started = Number(readFileSync(pidFile, "utf8"));
  killed.kill("SIGKILL");
  expect(await change("")).toMatchObject({ code: 0 });
  expect(isRunning(started)).toBe(false);
});
