import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "../run.ts";
import { ToolClone } from "./toolClone.ts";

let clone: ToolClone;
const model = "a".repeat(64);

beforeEach(() => {
  clone = new ToolClone();
  clone.use("node", process.execPath);
  clone.use("du", "/usr/bin/du");
});
afterEach(() => clone.remove());

/** Puts files of some size there, in kilobytes. */
function put(folder: string, files: Record<string, number>): void {
  for (const [name, kilobytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), Buffer.alloc(kilobytes * 1000));
  }
}

const clean = (env: NodeJS.ProcessEnv = {}) =>
  run([join(clone.root, "local/run"), "clean"], clone.root, { ...clone.env, ...env });

/** What a set-up leaves, in small. */
function used(): void {
  put(clone.tools, {
    "bin/pulumi": 100,
    "node/v1/bin/node": 100,
    "local/buildkit/runc-overlayfs/snapshot": 500,
    "local/registry/docker/blob": 200,
    "local/artifacts/model": 300,
    "local/ports.json": 1,
  });
  put(join(clone.root, ".facecraft"), { "preview/local.md": 10 });
  put(join(clone.folder, "cache"), { [model]: 50, [`${model}.json`]: 1, "made/tool.json": 1 });
}

test("removes what is the project's own and says how much that is, but for the cache", {
  timeout: 60_000,
}, async () => {
  used();
  const { code, text } = await clean();
  expect({ code, text }).toMatchObject({ code: 0 });
  expect(existsSync(clone.tools)).toBe(false);
  expect(existsSync(join(clone.root, "node_modules"))).toBe(false);
  expect(existsSync(join(clone.root, ".facecraft"))).toBe(false);
  expect(existsSync(join(clone.root, "index.ts"))).toBe(true);
  expect(readdirSync(join(clone.folder, "cache")).sort()).toEqual([model, `${model}.json`, "made"]);
  expect(text).toMatch(/removed \d+\.\d kB: the builder's cache \(.*\/tools\/local\/buildkit\)/);
  expect(text).toMatch(/removed \d+\.\d kB: tools \(/);
  expect(text).toMatch(/kB stay: the cache that all clones share \(.*\/cache\); `make clean ALL=1` removes that, too/);
  expect(text).toMatch(/1\.\d MB are free again/);
});

test("with ALL=1 removes the cache, too, but nothing there that is somebody else's", { timeout: 60_000 }, async () => {
  used();
  put(join(clone.folder, "cache"), { "my notes.txt": 1 });
  const { code, text } = await clean({ ALL: "1" });
  expect({ code, text }).toMatchObject({ code: 0 });
  expect(readdirSync(join(clone.folder, "cache"))).toEqual(["my notes.txt"]);
  expect(text).toContain("left in the cache folder, because it is not this project's: my notes.txt");
});

test("removes nothing from a folder that holds somebody else's files", { timeout: 60_000 }, async () => {
  used();
  put(clone.tools, { "letters/to-mother.txt": 1 });
  const { code, text } = await clean({ ALL: "1" });
  expect(code).toBe(1);
  expect(text).toContain(`FACECRAFT_TOOLS is ${clone.tools}, which also holds letters. That is not this project's`);
  expect(existsSync(join(clone.tools, "bin/pulumi"))).toBe(true);
  expect(existsSync(join(clone.root, "node_modules"))).toBe(true);
});

test("follows no link out of the folders", { timeout: 60_000 }, async () => {
  used();
  put(join(clone.folder, "precious"), { letter: 1 });
  symlinkSync(join(clone.folder, "precious"), join(clone.tools, "local/registry/link"));
  symlinkSync(join(clone.folder, "precious"), join(clone.tools, "downloads"));
  expect(await clean()).toMatchObject({ code: 0 });
  expect(existsSync(join(clone.folder, "precious/letter"))).toBe(true);
});

test("stops what runs before it removes that", { timeout: 60_000 }, async () => {
  used();
  mkdirSync(join(clone.tools, "local/run"));
  const server = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", join(clone.tools, "local/artifacts")]);
  writeFileSync(join(clone.tools, "local/run/artifacts.pid"), `${server.pid}\n`);
  const ended = new Promise((resolve) => server.on("exit", resolve));
  await sleep(300);
  const { code, text } = await clean();
  await ended;
  expect({ code, text }).toMatchObject({ code: 0 });
  expect(text).toContain("stopped artifacts");
  expect(existsSync(clone.tools)).toBe(false);
});

test("leaves a stack that is deployed in the user's Docker to `make undeploy`", { timeout: 60_000 }, async () => {
  used();
  const state = join(clone.tools, "local/state/.pulumi/stacks/facecraft-deploy/local-gpu.json");
  mkdirSync(dirname(state), { recursive: true });
  writeFileSync(state, JSON.stringify({ checkpoint: { latest: { resources: [{}, {}] } } }));
  const { code, text } = await clean();
  expect(code).toBe(1);
  expect(text).toContain(
    "The deploy stack local-gpu still runs in your Docker. Type `make undeploy STACK=local-gpu` first.",
  );
  expect(readFileSync(state, "utf8")).toContain("resources");
});

test("is not held up by the lock of an update that was killed", { timeout: 60_000 }, async () => {
  used();
  const state = join(clone.tools, "local/state/.pulumi");
  const lock = { pid: 2 ** 22 - 3, username: "ann", hostname: hostname(), timestamp: new Date().toISOString() };
  for (const [file, content] of Object.entries({
    "stacks/facecraft/local.json": { checkpoint: { latest: null } },
    "locks/organization/facecraft/local/0f3c.json": lock,
  })) {
    mkdirSync(dirname(join(state, file)), { recursive: true });
    writeFileSync(join(state, file), JSON.stringify(content));
  }
  const { code, text } = await clean();
  expect({ code, text }).toMatchObject({ code: 0 });
  expect(text).toContain("the stack local was locked by process 4194301 of ann@");
  expect(existsSync(clone.tools)).toBe(false);
});
