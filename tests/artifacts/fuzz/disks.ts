// States of the cache folder that fast-check makes up, and the way back to a folder that works.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type fc from "fast-check";
import { mostly } from "./archives.ts";

export type DiskPlan =
  | "fresh"
  | "missing"
  | "verified before"
  | "damaged entry"
  | "folder for an entry"
  | "pipe for an entry"
  | "link for an entry"
  | "odd record"
  | "record from the future"
  | "pipe for a record"
  | "old parts"
  | "full"
  | "read-only";

export const diskPlan: fc.Arbitrary<DiskPlan> = mostly<DiskPlan>(
  "fresh",
  "missing",
  "verified before",
  "verified before",
  "damaged entry",
  "folder for an entry",
  "pipe for an entry",
  "link for an entry",
  "odd record",
  "record from the future",
  "pipe for a record",
  "old parts",
  "full",
  "read-only",
);

export interface Disk {
  dir: string;
  /** Makes it a folder that works, as a person would after reading the message. */
  repair(): void;
  remove(): void;
}

/** `record` is what stands beside a verified file. */
export function prepare(plan: DiskPlan, sha256: string, content: Buffer, source: string): Disk {
  const root = mkdtempSync(join(tmpdir(), "facecraft-fuzz-"));
  const dir = join(root, "cache");
  const path = join(dir, sha256);
  let mounted = false;
  if (plan !== "missing") {
    mkdirSync(dir);
  }
  const mount = (...options: string[]) => {
    if (canMount) {
      execFileSync("mount", ["-t", "tmpfs", ...options, "tmpfs", dir]);
      mounted = true;
    }
  };
  const record = (changes: object) =>
    writeFileSync(`${path}.json`, JSON.stringify({ ...verified(content, source), ...changes }));
  const states: Partial<Record<DiskPlan, () => void>> = {
    "verified before": () => {
      writeFileSync(path, content);
      record({});
    },
    "damaged entry": () => {
      writeFileSync(path, "damaged");
      record({});
    },
    "folder for an entry": () => mkdirSync(path),
    "pipe for an entry": () => execFileSync("mkfifo", [path]),
    "link for an entry": () => symlinkSync(path, path),
    "odd record": () => {
      writeFileSync(path, content);
      record({ sources: { [source]: { etag: "a\nb" }, x: null }, verifiedAtMs: "now", downloadSha256: 5 });
    },
    "record from the future": () => {
      writeFileSync(path, content);
      record({ verifiedAtMs: 1e15, confirmedAtMs: 1e15 });
    },
    "pipe for a record": () => {
      writeFileSync(path, content);
      execFileSync("mkfifo", [`${path}.json`]);
    },
    "old parts": () => {
      for (const name of [`${sha256}.abc.1f.part`, `${"0".repeat(64)}.abc.1f.part`]) {
        writeFileSync(join(dir, name), "half");
        utimesSync(join(dir, name), new Date(0), new Date(0));
      }
    },
    full: () => mount("-o", "size=8k"),
    "read-only": () => mount("-o", "ro"),
  };
  states[plan]?.();
  const unmount = () => {
    if (mounted) {
      execFileSync("umount", ["-l", dir]);
      mounted = false;
    }
  };
  return {
    dir,
    repair() {
      unmount();
      if (plan === "folder for an entry") {
        rmSync(path, { recursive: true, force: true });
      }
    },
    remove() {
      unmount();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function verified(content: Buffer, source: string): object {
  return {
    sizeBytes: content.length,
    mtimeMs: 0,
    ctimeMs: 0,
    verifiedAtMs: Date.now(),
    confirmedAtMs: Date.now(),
    sources: { [source]: { etag: '"v1"' } },
  };
}

const canMount = mountable();

function mountable(): boolean {
  try {
    return process.getuid?.() === 0 && execFileSync("unshare", ["-m", "true"]).length === 0;
  } catch {
    return false;
  }
}
