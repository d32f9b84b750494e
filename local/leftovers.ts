import { readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { withLock } from "../artifacts/lock.ts";
import { output } from "./exec.ts";
import { bin, libexec, local, paths, tools } from "./paths.ts";
import { removeTree } from "./rootless.ts";
import { Failure } from "./say.ts";
import { endLeftovers } from "./updates.ts";

/**
 * Runs what changes the tools, while nobody else does: clones may share them, and two of them may start at once. What a killed one
 * has left behind is ended and removed first.
 */
export async function locked<T>(work: () => Promise<T>): Promise<T> {
  await mkdir(tools, { recursive: true });
  return withLock(`setup ${tools}`, async ({ held }) => {
    if (held) {
      await endLeftovers();
      await sweep();
    }
    return work();
  });
}

/** Where set-up works, and how what it works on is called there: what is finished has another name. */
const unfinished: [folder: string, name: RegExp][] = [
  [tools, /^(base|debian|head-start|image)-\w{6}$/],
  [bin, /\.new-\d+$/],
  [libexec, /\.new-\d+$/],
  [join(tools, "downloads"), /\.new-\w+$/],
  [join(local, "base"), /\.new(-\d+)?$/],
  [local, /^seed-\w{6}$/],
  [paths.wheels, /\.new-\w{6}$/],
];

async function sweep(): Promise<void> {
  for (const [folder, name] of unfinished) {
    for (const left of namesIn(folder).filter((entry) => name.test(entry))) {
      const path = join(folder, left);
      await unmountBelow(path);
      await removeTree(path);
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A file system that was being made has /proc mounted, and whoever was killed has left it so; a Docker daemon leaves a namespace. */
export async function unmountBelow(folder: string): Promise<void> {
  // In the order in which they were mounted; a space in a path is written as \040.
  const mounted = mountPoints().filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounted.reverse()) {
    await output("umount", [path]).catch((error: Error) => {
      throw new Failure(`${path} is mounted, and cannot be unmounted: ${error.message}`);
    });
  }
}

function mountPoints(): string[] {
  try {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
    return lines.map((line) => (line.split(" ")[4] ?? "").replaceAll("\\040", " "));
  } catch {
    return []; // another system
  }
}
