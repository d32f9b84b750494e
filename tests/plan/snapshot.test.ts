import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { listScripts, snapshotScripts } from "../../plan/snapshot.ts";

/** A checkout with nothing but the scripts; paths are relative to it, as they are to the program's folder. */
let checkout: string;
const scripts = () => join(checkout, "docker/scripts");

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "facecraft-snapshot-"));
  cpSync(join(root, "docker/scripts"), scripts(), { recursive: true });
  process.chdir(checkout);
});
afterEach(() => {
  process.chdir(root);
  rmSync(checkout, { recursive: true, force: true });
});

function chmodAll(file: (executable: boolean) => number, folder: number): void {
  for (const name of readdirSync(scripts())) {
    const path = join(scripts(), name);
    const { mode } = statSync(path);
    chmodSync(path, file((mode & 0o100) !== 0));
    utimesSync(path, 1e9, 1e9);
  }
  chmodSync(scripts(), folder);
}

describe("the scripts as a build context", () => {
  test.each([
    ["002", (executable: boolean) => (executable ? 0o775 : 0o664), 0o775],
    ["077", (executable: boolean) => (executable ? 0o700 : 0o600), 0o700],
  ])("are the same from a checkout under the umask %s", async (_umask, file, folder) => {
    const before = (await snapshotScripts()).context;
    rmSync(before, { recursive: true });
    chmodAll(file, folder);
    expect((await snapshotScripts()).context).toBe(before);
    expect(statSync(before).mode & 0o777).toBe(0o755);
    expect(statSync(join(before, "serve")).mode & 0o777).toBe(0o755);
    expect(statSync(join(before, "decoders.py")).mode & 0o777).toBe(0o644);
    expect(statSync(join(before, "serve")).mtimeMs).toBe(0);
  });

  test("are never taken for old by another update, not even for the moment in which they are looked at again", async () => {
    const context = (await snapshotScripts()).context;
    let oldest = Number.POSITIVE_INFINITY;
    const watching = setInterval(() => {
      oldest = Math.min(oldest, statSync(context).mtimeMs);
    }, 0);
    for (let i = 0; i < 20; i++) {
      await snapshotScripts();
    }
    clearInterval(watching);
    expect(Date.now() - oldest).toBeLessThan(3_600_000);
  });

  test("are without what running and linting them leaves behind", async () => {
    const before = (await snapshotScripts()).context;
    cpSync(join(scripts(), "serve"), join(scripts(), "__pycache__/boot.cpython-311.pyc"));
    writeFileSync(join(scripts(), ".boot.py.swp"), "");
    expect((await snapshotScripts()).context).toBe(before);
    expect(readdirSync(before).sort()).toEqual(await listScripts());
  });

  test("are another context when one of them changes", async () => {
    const before = (await snapshotScripts()).context;
    writeFileSync(join(scripts(), "serve"), "#!/bin/sh\n");
    const after = (await snapshotScripts()).context;
    expect(after).not.toBe(before);
    expect(existsSync(before)).toBe(true);
  });
});
