import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { defaultCacheDir } from "../artifacts/cacheDir.ts";
import { formatBytes } from "../artifacts/text.ts";
import { type Ended, run, which } from "./exec.ts";
import { local, root, tools } from "./paths.ts";
import { inUserNamespace } from "./rootless.ts";
import { toolPath } from "./tools.ts";

/** What this project keeps on a machine, by what it is. */
export interface Place {
  what: string;
  /** Files and folders that are there. */
  paths: string[];
  /** Of this user, for all clones: `make clean` leaves it unless told otherwise. */
  shared?: boolean;
}

/** Names in the tools folder. Whatever else is there is somebody else's. */
const inTools =
  /^(bin|libexec|node|downloads|docker|pulumi-home|pulumi-home-archive|python-\w+|go|node-compile-cache|test-results\.json|home|cache|local|CACHEDIR\.TAG|(base|debian|package|image|test)-\w{6})$/;

/** Names in the cache: verified files and what is known of them, named for their sha256, what set-ups have made, and how long they took. */
const inCache = /^([0-9a-f]{64}(\..*)?|made|durations\.json)$/;

/** What of the folder of services and stacks is told apart; all of it is ours. */
const inLocal: Record<string, RegExp> = {
  "the builder's cache": /^buildkit/,
  "images in the local registry": /^registry$/,
  "containers of the local Docker": /^docker(-rootless)?$/,
  "base images, models and wheels to build with": /^(base|artifacts|wheels)$/,
  "state, settings and logs of the local stacks": /./,
};

/** All that is on this machine, in an order in which it can be removed. */
export function places(): Place[] {
  const rest = new Set(namesIn(local));
  const parts = Object.entries(inLocal).map(([what, pattern]) => {
    const names = [...rest].filter((name) => pattern.test(name));
    for (const name of names) {
      rest.delete(name);
    }
    return { what, paths: names.map((name) => join(local, name)) };
  });
  const programs = namesIn(tools).filter((name) => inTools.test(name) && name !== "local");
  // What takes rootlesskit to remove comes before the tools.
  return [
    ...parts,
    { what: "tools", paths: programs.map((name) => join(tools, name)) },
    { what: "reports", paths: [join(root, ".facecraft")] },
    { what: "npm packages", paths: [join(root, "node_modules")] },
    { what: "the cache that all clones share", paths: cachePaths(), shared: true },
  ]
    .map((place) => ({ ...place, paths: place.paths.filter((path) => existsSync(path)) }))
    .filter(({ paths }) => paths.length > 0);
}

/** What lies in the tools folder, or in a cache folder that was chosen, and is not this project's. */
export function strangers(): { tools: string[]; cache: string[] } {
  return {
    tools: namesIn(tools).filter((name) => !inTools.test(name)),
    cache: namesIn(cacheDir()).filter((name) => !inCache.test(name)),
  };
}

/** Where the user's cache is; none for a user without a home. */
export function cacheDir(): string | undefined {
  try {
    return defaultCacheDir();
  } catch {
    return undefined;
  }
}

function cachePaths(): string[] {
  const folder = cacheDir();
  return folder === undefined
    ? []
    : namesIn(folder)
        .filter((name) => inCache.test(name))
        .map((name) => join(folder, name));
}

function namesIn(folder: string | undefined): string[] {
  try {
    return folder === undefined ? [] : readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** Where the paths of a place are, for people. */
export function whereIs({ paths }: Place): string {
  const folders = [tools, local, cacheDir()].filter((folder) => folder !== undefined);
  const [first = ""] = paths;
  const folder = paths.length > 1 ? folders.filter((one) => first.startsWith(`${one}/`)).at(-1) : undefined;
  const path = folder ?? first;
  return path.startsWith(`${root}/`) ? relative(root, path) : path;
}

/** What is known of how much of the disk something takes. */
export interface Size {
  bytes: number;
  /** False where a part of it could not be read. */
  all: boolean;
}

/** For people. */
export function amount({ bytes, all }: Size): string {
  if (!all && bytes === 0) {
    return "an unknown size";
  }
  return `${all ? "" : "at least "}${formatBytes(bytes)}`;
}

/**
 * How much of the disk places take, in their order; a file with two names counts where it is met first. Nothing is known
 * where there is no `du`.
 */
export async function sizesOf(places: readonly Place[]): Promise<Size[]> {
  const paths = places.flatMap((place) => place.paths);
  if (paths.length === 0) {
    return [];
  }
  const sizes = new Map<string, number>();
  const { code, stdout } = await diskUsage(paths);
  for (const line of stdout.split("\n")) {
    const [kilobytes = "", path = ""] = line.split(/\t/);
    sizes.set(path, Number(kilobytes) * 1024);
  }
  return places.map((place) => ({
    bytes: place.paths.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0),
    all: code === 0,
  }));
}

/** Of files that belong to users of a namespace, only root of that namespace can tell. */
async function diskUsage(paths: readonly string[]): Promise<Ended> {
  const command = ["du", "-sk", ...paths];
  const own = await run("du", command.slice(1)).catch(() => ({ code: 127, stdout: "", text: "" }));
  if (own.code === 0 || process.getuid?.() === 0 || !which("rootlesskit", toolPath())) {
    return own;
  }
  const [program, ...args] = inUserNamespace(command);
  const inside = await run(program, args, { env: { ...process.env, PATH: toolPath() } });
  return inside.code === 0 ? inside : own;
}
