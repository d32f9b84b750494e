import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.ts";
import type { Ports } from "./ports.ts";

export const wheelsScript = join(root, "local/standins/wheels/make-wheels.py");

/**
 * Where the stand-in wheels lie, below what the index serves: named for the script that alone decides what is in them. Other
 * wheels so have another address, and an environment with the old ones is not taken from the builder's cache; and clones that
 * share the tools each have their own.
 */
export function wheelsFolder(): string {
  return createHash("sha256").update(readFileSync(wheelsScript)).digest("hex").slice(0, 12);
}

/** The address below which the wheel indexes are: `<address>/whl/cpu`. */
export function wheelsAddress(ports: Ports): string {
  return `http://localhost:${ports.wheels}/${wheelsFolder()}`;
}
