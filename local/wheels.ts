import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rename } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { output } from "./exec.ts";
import { paths, root } from "./paths.ts";
import type { Ports } from "./ports.ts";

const wheelsScript = join(root, "local/standins/wheels/make-wheels.py");

/**
 * Where the stand-in wheels lie, below what the index serves: named for the script that alone decides what is in them. Other
 * wheels so have another address, and an environment with the old ones is not taken from the builder's cache; and clones that
 * share the tools each have their own.
 */
export function wheelsFolder(): string {
  return createHash("sha256").update(readFileSync(wheelsScript)).digest("hex").slice(0, 12);
}

/** The address below which the wheel indexes are: `<address>/whl/cpu`. */
export function wheelsAddress({ wheels }: Pick<Ports, "wheels">): string {
  return `http://localhost:${wheels}/${wheelsFolder()}`;
}

export async function makeWheels(): Promise<void> {
  const folder = join(paths.wheels, wheelsFolder());
  if (!existsSync(folder)) {
    await mkdir(paths.wheels, { recursive: true });
    const fresh = await mkdtemp(`${folder}.new-`);
    await output("python3", [wheelsScript, fresh]);
    await chmod(fresh, 0o755);
    await rename(fresh, folder);
  }
}

/**
 * Whether another clone of this user serves the very same wheels on a port. The address of the wheels is in the key of the step
 * that installs them, so a clone that uses the other's server finds that step in the cache.
 */
export async function servedByAnotherClone(port: number): Promise<boolean> {
  if (process.getuid === undefined || listener(port) !== process.getuid()) {
    return false;
  }
  await makeWheels();
  const folder = join(paths.wheels, wheelsFolder());
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const same = await Promise.all(
    files.map(async (file) => {
      const path = file.slice(folder.length).split("/").map(encodeURIComponent).join("/");
      return (await bytesOf(wheelsAddress({ wheels: port }) + path))?.equals(readFileSync(file)) ?? false;
    }),
  );
  return same.every(Boolean);
}

/** The user whose process listens on a port of loopback, as Linux tells; undefined where it does not, or nobody does. */
function listener(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const lines = existsSync(table) ? readFileSync(table, "utf8").split("\n").slice(1) : [];
    for (const [, local = "", , state, , , , uid] of lines.map((line) => line.trim().split(/\s+/))) {
      if (local.endsWith(`:${hex}`) && state === "0A") {
        return Number(uid);
      }
    }
  }
  return undefined;
}

function bytesOf(url: string): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: 2000 }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve(response.statusCode === 200 ? Buffer.concat(parts) : undefined));
      response.on("error", () => resolve(undefined));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}
