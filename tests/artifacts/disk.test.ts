import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { noise, serve, staticFile, temporaryFolder } from "./server.ts";
import { files, trial } from "./trial.ts";

const body = noise(3_000_000);
const canMount = mountable();

// Real file systems that are full or read-only need the right to mount: run as root for these.
describe.skipIf(!canMount)("a file system (needs root, to mount a small tmpfs)", () => {
  test.each(["m.pth", "m.dat.bz2"])(
    "that fills up stops the fetch of %s with the remedy, and is left empty",
    async (name) => {
      const cacheDir = mount("size=1m");
      const bytes = name.endsWith("bz2") ? execFileSync("bzip2", ["-c"], { input: body, maxBuffer: 1 << 24 }) : body;
      const server = await serve(staticFile(bytes));
      const spare = await serve(staticFile(bytes));
      const cause = `cannot be stored: the disk is full (ENOSPC) in ${cacheDir}; make room there or set FACECRAFT_CACHE`;
      const t = trial(cacheDir);
      await expect(t.fetch([`${server.url}/${name}`, `${spare.url}/${name}`], body)).rejects.toThrow(cause);
      expect(files(cacheDir)).toEqual([]);
      expect([server.requests.length, spare.requests.length]).toEqual([1, 0]);
    },
  );

  test("that is read-only stops a fetch with the remedy", async () => {
    const cacheDir = mount("size=8m");
    execFileSync("mount", ["-o", "remount,ro", cacheDir]);
    const server = await serve(staticFile(body));
    await trial(cacheDir).refuses(`${server.url}/m.pth`, body, "the file system is read-only (EROFS)");
  });

  test("that is read-only still serves what is in it", async () => {
    const cacheDir = mount("size=8m");
    const server = await serve(staticFile(body));
    const first = await trial(cacheDir).fetch(`${server.url}/m.pth`, body);
    execFileSync("mount", ["-o", "remount,ro", cacheDir]);
    expect(await trial(cacheDir).fetch(`${server.url}/m.pth`, body)).toEqual(first);
  });
});

function mount(options: string): string {
  const folder = join(temporaryFolder(), "mounted");
  mkdirSync(folder);
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  onTestFinished(() => void execFileSync("umount", [folder]));
  return folder;
}

function mountable(): boolean {
  try {
    return process.getuid?.() === 0 && execFileSync("unshare", ["-m", "true"]).length === 0;
  } catch {
    return false;
  }
}
