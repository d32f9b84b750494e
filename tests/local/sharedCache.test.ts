import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { distrusted, find, keep, machineCache, ownCache, share, take } from "../../local/sharedCache.ts";

let folder: string;
let said: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-shared-"));
  vi.stubEnv("FACECRAFT_CACHE", join(folder, "own"));
  vi.stubEnv("FACECRAFT_SHARED_CACHE", join(folder, "machine"));
  vi.stubEnv("FACECRAFT_PINNED_TOOLS", "");
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const wanted = { kind: "tool", recipe: { version: 1 } };
const at = (name: string) => join(folder, "clone", name);

async function keepTool(text = "a tool", recipe: unknown = wanted.recipe): Promise<void> {
  const made = join(folder, "made");
  writeFileSync(made, text, { mode: 0o755 });
  await keep({ ...wanted, recipe }, { tool: made }, { by: "a test" });
}

/** The one file in a cache that is no entry. */
const kept = (cache = ownCache()) =>
  join(cache, readdirSync(cache).find((name) => /^[0-9a-f]{64}$/.test(name)) ?? "nothing");

describe("what a clone has kept", () => {
  test("another takes a copy of, which is its own", async () => {
    await keepTool();
    const entry = await take(wanted, at);
    expect(entry?.note).toEqual({ by: "a test" });
    expect(readFileSync(at("tool"), "utf8")).toBe("a tool");
    expect(statSync(at("tool")).mode & 0o777).toBe(0o755);
    appendFileSync(at("tool"), " that was changed in the clone");
    expect(await take(wanted, () => at("again"))).toBeDefined();
    expect(readFileSync(at("again"), "utf8")).toBe("a tool");
    expect(readdirSync(join(folder, "clone")).sort()).toEqual(["again", "tool"]);
    expect(said).toBe("");
  });

  test("is not taken for another recipe, nor where it does not fit", async () => {
    await keepTool();
    expect(await take({ ...wanted, recipe: { version: 2 } }, at)).toBeUndefined();
    expect(await take(wanted, at, () => false)).toBeUndefined();
    expect(existsSync(at("tool"))).toBe(false);
  });

  test("is dropped, and said to be, when a byte of it has changed", async () => {
    await keepTool();
    writeFileSync(kept(), "a tool that somebody has changed");
    expect(await take(wanted, at)).toBeUndefined();
    expect(said).toMatch(/\/own\/made\/[0-9a-f]{64}, kept of tool, is no longer what it was/);
    expect(readdirSync(join(folder, "clone"))).toEqual([]);
    expect(readdirSync(ownCache())).toEqual([]);
    await keepTool();
    expect(await take(wanted, at)).toBeDefined();
  });

  test.each(["", "{", "null", '{"made":"now","files":{"../../x":{"sha256":"SUM","executable":false}},"note":{}}'])(
    "is nothing where its entry says %j",
    async (text) => {
      await keepTool();
      const name = readdirSync(ownCache()).find((entry) => entry.endsWith(".json")) ?? "";
      const sum = kept().slice(-64);
      writeFileSync(join(ownCache(), name), text.replace("SUM", sum));
      expect(await take(wanted, at)).toBeUndefined();
      expect(find(wanted)).toBeUndefined();
    },
  );

  test("is nothing where a file of it is gone", async () => {
    await keepTool();
    rmSync(kept());
    expect(await take(wanted, at)).toBeUndefined();
    expect(find(wanted)).toBeUndefined();
  });

  test("is thrown away when three of its kind have been used since, but for files of others", async () => {
    for (const version of [1, 2, 3]) {
      await keepTool(`tool ${version}`, { version });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await take({ ...wanted, recipe: { version: 1 } }, at);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await keepTool("tool 4", { version: 4 });
    const left = [1, 2, 3, 4].filter((version) => find({ ...wanted, recipe: { version } }));
    expect(left).toEqual([1, 3, 4]);
    expect(readdirSync(ownCache())).toHaveLength(6);
  });

  test("is not taken where only pins count", async () => {
    await keepTool();
    vi.stubEnv("FACECRAFT_PINNED_TOOLS", "1");
    expect(await take(wanted, at)).toBeUndefined();
  });

  test("costs nothing but time where the cache cannot be written", async () => {
    writeFileSync(join(folder, "own"), "a file where the folder would be");
    await keepTool();
    expect(said).toContain("nothing is kept in");
    expect(await take(wanted, at)).toBeUndefined();
  });
});

describe("the machine's cache", () => {
  beforeEach(async () => {
    await keepTool();
    await share();
    rmSync(ownCache(), { recursive: true });
  });

  test("serves everybody what an administrator has put there", async () => {
    expect(await take(wanted, at)).toBeDefined();
    expect(readFileSync(at("tool"), "utf8")).toBe("a tool");
    expect(statSync(machineCache()).mode & 0o777).toBe(0o755);
    expect(statSync(kept(machineCache())).mode & 0o777).toBe(0o644);
  });

  test("is left alone where others can write to it, or to a file in it", async () => {
    chmodSync(kept(machineCache()), 0o664);
    expect(await take(wanted, at)).toBeUndefined();
    expect(said).toMatch(/machine is not used: others can write to .*chmod go-w/);
    chmodSync(kept(machineCache()), 0o644);
    expect(await take(wanted, at)).toBeDefined();
    chmodSync(machineCache(), 0o777);
    expect(distrusted(machineCache())).toMatch(/others can write to/);
    chmodSync(machineCache(), 0o755);
    chmodSync(folder, 0o777);
    expect(distrusted(machineCache())).toBe(`everybody can write to ${folder}`);
  });

  test("is left alone where a link or a folder is among its files", async () => {
    symlinkSync("/etc/passwd", join(machineCache(), "link"));
    expect(distrusted(machineCache())).toMatch(/link is no file/);
    rmSync(join(machineCache(), "link"));
    mkdirSync(join(machineCache(), "more"));
    expect(distrusted(machineCache())).toMatch(/more is no file/);
  });

  test.skipIf(process.getuid?.() !== 0)("is left alone where another user owns a part of it", async () => {
    chownSync(kept(machineCache()), 12345, 12345);
    expect(distrusted(machineCache())).toMatch(/belongs to user 12345, and only root and you may own it/);
    chownSync(kept(machineCache()), 0, 0);
    chownSync(machineCache(), 12345, 12345);
    expect(distrusted(machineCache())).toMatch(/machine belongs to user 12345/);
  });
});
