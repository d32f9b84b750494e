import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readlink, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import dockerignore from "@balena/dockerignore";
import { type Entry, entriesOf } from "./entries.ts";

/** A copy of a directory that is a build context: the same everywhere and for ever. */
export interface Snapshot {
  /** Where it is, relative to the program. */
  context: string;
  /** Of paths, contents, link targets and executable bits: 64 hex digits. */
  digest: string;
}

/**
 * Copies files of a directory into a folder named for their digest, with the same modes everywhere: the docker-build
 * provider's context hash covers modes, so a checkout under another umask would otherwise look like a change. That hash
 * also leaves out of a named context what the Dockerfile's ignore file names, so the name is what shows a change in a plan.
 * A copy that is there is used again only when it still is what its name says.
 *
 * @param entries what goes in, sorted by path
 * @param into the folder of the snapshots, relative to the program; those that were not used for long are removed
 */
export async function snapshot(entries: readonly Entry[], into: string): Promise<Snapshot> {
  const digest = await digestOf(entries);
  const context = join(into, digest.slice(0, 16));
  if (!(await isIntact(context, digest))) {
    await rm(context, { recursive: true, force: true });
    await copy(entries, context, digest);
  }
  await utimes(context, new Date(), new Date());
  await dropOld(into, context);
  return { context, digest };
}

const scripts = "docker/scripts";

/** The Dockerfiles' scripts, the named build context `scripts`. */
export async function snapshotScripts(): Promise<Snapshot> {
  return snapshot(await entriesOf(scripts, await listScripts()), ".facecraft/scripts");
}

/** Names of the Dockerfiles' scripts, without what linting and running them leaves behind. */
export function listScripts(): Promise<string[]> {
  return listFiles(scripts, "**/__pycache__\n**/.*\n");
}

/** Paths of the files that the ignore rules let through, relative to the directory, sorted. */
export async function listFiles(directory: string, ignoreRules: string): Promise<string[]> {
  const included = includes(ignoreRules);
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(directory, "/").length))
    .filter(included)
    .sort();
}

/** Whether ignore rules let a path through. */
export function includes(ignoreRules: string): (path: string) => boolean {
  const rules = dockerignore.default({ ignorecase: false }).add(ignoreRules);
  return (path) => !rules.ignores(path);
}

/** Digest (64 hex digits) of paths, contents, link targets and executable bits: what a build can see of the files. */
async function digestOf(entries: readonly Entry[]): Promise<string> {
  const hash = createHash("sha256");
  for (const { path, from, kind } of entries) {
    if (kind === "link") {
      const target = await readlink(from);
      hash.update(`link ${path}\0${Buffer.byteLength(target)}\0`).update(target);
    } else {
      hash.update(`${kind} ${path}\0${(await stat(from)).size}\0`);
      for await (const piece of createReadStream(from)) {
        hash.update(piece);
      }
    }
  }
  return hash.digest("hex");
}

async function isIntact(context: string, digest: string): Promise<boolean> {
  try {
    await normalizeIn(context);
    return (await digestOf(await entriesOf(context, await listFiles(context, "")))) === digest;
  } catch {
    return false; // not there, or no copy of ours any more
  }
}

/** Half a copy never has the name of a whole one. */
async function copy(entries: readonly Entry[], target: string, digest: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const copy = await mkdtemp(join(dirname(target), ".copy-"));
  try {
    for (const { path, from } of entries) {
      const destination = join(copy, path);
      await mkdir(dirname(destination), { recursive: true });
      await cp(from, destination, { verbatimSymlinks: true });
    }
    await normalizeIn(copy);
    await rename(copy, target);
  } catch (error) {
    // Another update of the same files may have put the same copy there first.
    if (!(await isIntact(target, digest))) {
      throw error;
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function normalize(path: string): Promise<void> {
  const status = await lstat(path);
  if (status.isSymbolicLink()) {
    return;
  }
  if (status.isDirectory()) {
    for (const entry of await readdir(path)) {
      await normalize(join(path, entry));
    }
  }
  await chmod(path, status.isDirectory() || status.mode & 0o100 ? 0o755 : 0o644);
  await utimes(path, 0, 0);
}

/** Fixes modes and times of a snapshot. The time of its folder stays: it says when it was used, and old ones are removed. */
async function normalizeIn(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    await normalize(join(folder, entry));
  }
  await chmod(folder, 0o755);
}

// A build reads its snapshot when it starts, and once more for the release.
const keptFor = 60 * 60_000;
const kept = 5;

/** Removes what was used last more than an hour ago, but for the newest; and copies that were never finished. */
async function dropOld(folder: string, current: string): Promise<void> {
  const names = await readdir(folder);
  const used = await Promise.all(
    names.map(async (name) => ({
      path: join(folder, name),
      at: (await lstat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  const byAge = used.filter(({ path }) => path !== current).sort((a, b) => b.at - a.at);
  const old = byAge.slice(kept - 1).filter(({ at }) => Date.now() - at > keptFor);
  await Promise.all(old.map(({ path }) => rm(path, { recursive: true, force: true })));
}
