import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { type Result, run } from "../run.ts";
import { ToolClone } from "./toolClone.ts";

// Nobody has this number.
const uid = 54_321;
const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
const [setpriv = "", ...args] = asUser;
const readable = spawnSync(setpriv, [...args, "cat", join(root, "node_modules/undici/package.json")]).status === 0;
const why = readable ? "" : " (skipped: takes root, and a clone that everybody may read)";
const everybody = mkdtempSync(join(tmpdir(), "facecraft-node-"));

// Ours may lie where only we can go.
beforeAll(() => {
  chmodSync(everybody, 0o755);
  copyFileSync(process.execPath, join(everybody, "node"));
});
afterAll(() => rmSync(everybody, { recursive: true, force: true }));

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
  clone.use("node", join(everybody, "node"));
  chmodSync(clone.folder, 0o755);
  for (const folder of [clone.tools, join(clone.folder, "cache")]) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);
  }
});
afterEach(() => clone.remove());

/** Runs `local/run doctor` as that user; it ends with 1 where tools are missing. */
function doctor(env: NodeJS.ProcessEnv): Promise<Result> {
  const { HOME: _, ...rest } = clone.env;
  return run([...asUser, "local/run", "doctor"], clone.root, { ...rest, PATH: `${clone.bin}:/usr/bin:/bin`, ...env });
}

/** Makes local/run install the packages, with an npm that says where it would write. */
function withoutPackages(): void {
  clone.script("npm", 'echo "npm: home $HOME, cache $npm_config_cache, user $USER" >&2; exit 1');
  rmSync(join(clone.root, "node_modules/.facecraft-lock.json"));
  chmodSync(join(clone.root, "node_modules"), 0o777);
}

describe.skipIf(!readable)(`a user id that the system does not know${why}`, () => {
  test.each([
    ["no home", {}],
    ["a home that is not there", { HOME: "/home/nobody-made-this" }],
    ["/ as home, as containers have it", { HOME: "/" }],
    ["somebody else's home", { HOME: "/root" }],
  ])("with %s is told what is here", async (_, env) => {
    const { text } = await doctor(env);
    expect(text).toMatch(/^ +node +\d+\.\d+\.\d+ +yours /m);
    expect(text).toMatch(/^ +pulumi +/m);
    expect(text).not.toMatch(/^\s+at |ERR_SYSTEM_ERROR|ENOENT|EACCES/m);
  });

  test("has a home and a name where it has none", async () => {
    withoutPackages();
    expect((await doctor({})).text).toContain(`npm: home ${clone.tools}/home, cache , user ${uid}`);
    expect(existsSync(join(clone.tools, "home"))).toBe(true);
  });

  test.each([
    ["the tools", "tools", "tools/local/run"],
    ["the cache", "cache", "cache/sha256"],
    ["reports", "clone/.facecraft", "clone/.facecraft/preview"],
    ["incomplete packages", "clone/node_modules", "clone/node_modules"],
  ])("is told to have %s removed where root has made them", async (_, named, made) => {
    mkdirSync(join(clone.folder, made), { recursive: true });
    withoutPackages();
    chmodSync(join(clone.root, "node_modules"), 0o755);
    const { code, text } = await doctor({ HOME: "/" });
    expect(code).toBe(1);
    expect(text).toContain(`another user, such as root, has run this here before`);
    const folders = [...new Set([named, "clone/node_modules"])].map((name) => `'${join(clone.folder, name)}'`);
    expect(text).toContain(`with \`rm -rf ${folders.join(" ")}\`, and run this again.`);
    expect(text).not.toMatch(/^npm:|Permission denied/m);
  });

  test("keeps its caches in the tools folder where its home cannot be written", async () => {
    withoutPackages();
    expect((await doctor({ HOME: "/root" })).text).toContain(`npm: home /root, cache ${clone.tools}/cache/npm,`);
    expect(existsSync(join(clone.tools, "home"))).toBe(false);
  });
});
