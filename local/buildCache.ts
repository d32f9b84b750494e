import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { local, root, tools } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { keepTagged, seed, type Tagged, taggedDigest } from "./registryFiles.ts";
import { find, type Wanted } from "./sharedCache.ts";
import { timed } from "./timeline.ts";
import { thisPlatform } from "./toolLock.ts";

/** Where the local stacks write the builder's cache, below the local registry: `facecraft:cacheRepository`. */
const repository = "cache/facecraft";

function tagged(variant: string): Tagged {
  return { repository, tag: `buildcache-${variant}` };
}

/** What a clone has kept of it. */
export function wanted(variant: string): Wanted {
  return { kind: `build-cache-${variant}`, recipe: { platform: thisPlatform } };
}

/** What a stack's config file says, read without a parser: every update begins with this. */
function variantOf(stack: string): string {
  const file = join(root, `Pulumi.${stack}.yaml`);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return /^\s*facecraft:variant:\s*["']?(cpu|gpu)\b/m.exec(text)?.[1] ?? "cpu";
}

/** What this clone has taken from the cache or kept there last: clones that take turns keep nothing again and again. */
function mark(variant: string): string {
  return join(local, `${wanted(variant).kind}.digest`);
}

/** Lets a registry that is new have the builder's cache that a clone has kept. */
export async function seedBuildCache(stack: string): Promise<void> {
  const variant = variantOf(stack);
  if (taggedDigest(tagged(variant)) === undefined && find(wanted(variant)) !== undefined) {
    await timed(`taking what was built before (${variant}) from the cache`, () =>
      seed(wanted(variant), tagged(variant)),
    );
  }
}

/** Keeps what a release has written of the builder's cache, with the ports that are in the keys of its steps. */
export async function keepBuildCache(stack: string, { artifacts, wheels }: Ports): Promise<void> {
  const variant = variantOf(stack);
  const digest = taggedDigest(tagged(variant));
  if (digest === undefined || (existsSync(mark(variant)) && readFileSync(mark(variant), "utf8") === digest)) {
    return;
  }
  if (find(wanted(variant))?.note.digest !== digest) {
    await timed(`keeping what was built (${variant}) for the next clone`, () =>
      keepTagged(wanted(variant), tagged(variant), { artifacts, wheels, tools }),
    );
  }
  await writeFile(mark(variant), digest);
}

/**
 * The ports that stand in the keys of the kept steps. That of the models is wanted only where the clone that had it is gone,
 * because no two clones can serve their models there.
 */
export function portsOfCache(): Partial<Ports> {
  const { artifacts, wheels, tools: owner } = (find(wanted("cpu")) ?? find(wanted("gpu")))?.note ?? {};
  const free = owner === tools || !existsSync(String(owner));
  return {
    ...(free && typeof artifacts === "number" && { artifacts }),
    ...(typeof wheels === "number" && { wheels }),
  };
}
