import { createHash, randomBytes } from "node:crypto";
import { constants, existsSync, lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { defaultCacheDir } from "../artifacts/cacheDir.ts";
import { hashFile } from "../artifacts/hash.ts";
import { withLock } from "../artifacts/lock.ts";
import { say } from "./say.ts";
import { pinnedOnly } from "./toolLock.ts";

/**
 * What the set-up of one clone has made, kept for the next one: built tools, base images, the builder's cache. A folder holds
 * files that are named for the sha256 of their bytes, and entries, `<kind>.<key>.json`, that name files.
 *
 * Nothing in it is used where anybody but root and oneself could have written it, nor without hashing it again; and what is
 * used is a copy, so that whatever happens to it in a clone stays there.
 */
export interface Entry {
  /** When it was made, as ISO 8601. */
  made: string;
  files: Record<string, KeptFile>;
  /** What else its kind has to say of it. */
  note: Record<string, unknown>;
}

export interface KeptFile {
  sha256: string;
  executable: boolean;
}

/** What an entry is: `recipe` is all that decides what is in its files. */
export interface Wanted {
  kind: string;
  recipe: unknown;
}

/** Of the entries of a kind, so many are kept: clones of several versions may take turns. */
const entriesOfKind = 3;

/** A file in the making that nobody has touched for so long belongs to nobody. */
const abandonedAfterMs = 24 * 60 * 60_000;

/** This user's own. */
export function ownCache(): string {
  return join(defaultCacheDir(), "made");
}

/** None for a user who has no home. */
function ownFolder(): string | undefined {
  try {
    return ownCache();
  } catch {
    return undefined;
  }
}

/** The machine's, for all of its users: an administrator fills it with `make share`. */
export function machineCache(): string {
  return process.env.FACECRAFT_SHARED_CACHE || "/var/cache/facecraft";
}

/**
 * Puts the files of an entry in place, each under a name of its own beside its target until all of them are there.
 *
 * @param targets where each of the entry's files goes, by name
 * @returns the entry; undefined where there is none that can be trusted
 */
export async function take(
  wanted: Wanted,
  targets: (name: string) => string,
  fits: (entry: Entry) => boolean = () => true,
): Promise<Entry | undefined> {
  for (const folder of usable()) {
    const entry = readEntry(folder, wanted);
    if (entry !== undefined && fits(entry) && (await copyOut(folder, wanted, entry, targets))) {
      return entry;
    }
  }
  return undefined;
}

/** The entry, without its files. */
export function find(wanted: Wanted): Entry | undefined {
  return usable()
    .map((folder) => readEntry(folder, wanted))
    .find((entry) => entry !== undefined);
}

/** A file to keep; one whose name says its sha256 is not read where the cache has it. */
export type Source = string | { path: string; sha256: string };

/** Keeps copies of files in this user's cache. A cache that cannot be written saves nobody time, and is no failure. */
export async function keep(
  wanted: Wanted,
  files: Readonly<Record<string, Source>>,
  note: Record<string, unknown> = {},
): Promise<void> {
  let folder = "the cache";
  try {
    folder = ownCache();
    await mkdir(folder, { recursive: true, mode: 0o755 });
    if (distrusted(folder) === undefined) {
      await withLock(`cache ${folder}`, () => store(folder, wanted, files, note));
    }
  } catch (error) {
    say(`nothing is kept in ${folder} for the next clone: ${(error as Error).message}`);
  }
}

/** Copies what this user's cache holds to the machine's. @returns how many entries that were, and the bytes of their files */
export async function share(): Promise<{ entries: number; bytes: number }> {
  const [from, to] = [ownCache(), machineCache()];
  await mkdir(to, { recursive: true, mode: 0o755 });
  const reason = distrusted(to);
  if (reason !== undefined) {
    throw new Error(`${to} would not be used: ${reason}`);
  }
  return withLock(`cache ${to}`, async () => {
    let bytes = 0;
    const names = existsSync(from) ? readdirSync(from).filter((name) => name.endsWith(".json")) : [];
    for (const name of names) {
      const entry = parseEntry(join(from, name));
      for (const { sha256 } of Object.values(entry?.files ?? {})) {
        await put(join(from, sha256), to, sha256);
        bytes += statSync(join(to, sha256)).size;
      }
      await writeWhole(join(to, name), `${JSON.stringify(entry, undefined, 2)}\n`);
    }
    await sweep(to);
    return { entries: names.length, bytes };
  });
}

async function copyOut(
  folder: string,
  wanted: Wanted,
  { files }: Entry,
  targets: (name: string) => string,
): Promise<boolean> {
  const fresh: [string, string][] = [];
  try {
    for (const [name, { sha256, executable }] of Object.entries(files)) {
      const target = targets(name);
      const part = `${target}.new-${process.pid}`;
      await mkdir(dirname(target), { recursive: true });
      fresh.push([part, target]);
      // The copy is what is hashed: the original may change after that.
      await copyFile(join(folder, sha256), part, constants.COPYFILE_FICLONE);
      if ((await hashFile(part)) !== sha256) {
        say(
          `${join(folder, sha256)}, kept of ${wanted.kind}, is no longer what it was (its sha256 is another); it is made anew`,
        );
        await drop(folder, wanted, sha256);
        return false;
      }
      await chmod(part, executable ? 0o755 : 0o644);
    }
    for (const [part, target] of fresh) {
      await rename(part, target);
    }
    // What was used last is thrown away last. The machine's cache need not be ours to write.
    await utimes(entryFile(folder, wanted), new Date(), new Date()).catch(() => {});
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw error;
    }
    await drop(folder, wanted);
    return false;
  } finally {
    await Promise.all(fresh.map(([part]) => rm(part, { force: true })));
  }
}

/** Forgets an entry, and a file of it that is another one now. */
async function drop(folder: string, wanted: Wanted, sha256?: string): Promise<void> {
  await rm(entryFile(folder, wanted), { force: true }).catch(() => {});
  if (sha256) {
    await rm(join(folder, sha256), { force: true }).catch(() => {});
  }
}

async function store(
  folder: string,
  wanted: Wanted,
  files: Readonly<Record<string, Source>>,
  note: Record<string, unknown>,
): Promise<void> {
  const kept: Record<string, KeptFile> = {};
  for (const [name, source] of Object.entries(files)) {
    const { path, sha256 } = typeof source === "string" ? { path: source } : source;
    kept[name] = { sha256: await put(path, folder, sha256), executable: (statSync(path).mode & 0o111) !== 0 };
  }
  const entry: Entry = { made: new Date().toISOString(), files: kept, note };
  await writeWhole(entryFile(folder, wanted), `${JSON.stringify(entry, undefined, 2)}\n`);
  await sweep(folder);
}

/** Copies a file to the name of its sha256, which it returns. @throws Error where that is not the one that is given */
async function put(path: string, folder: string, expected?: string): Promise<string> {
  if (expected !== undefined && existsSync(join(folder, expected))) {
    return expected;
  }
  const part = partFile(folder);
  try {
    await copyFile(path, part, constants.COPYFILE_FICLONE);
    await chmod(part, 0o644);
    const sha256 = await hashFile(part);
    if (expected !== undefined && sha256 !== expected) {
      throw new Error(`${path} has the sha256 ${sha256}, not ${expected}`);
    }
    await rename(part, join(folder, sha256));
    return sha256;
  } finally {
    await rm(part, { force: true });
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const part = partFile(dirname(path));
  await writeFile(part, text);
  await chmod(part, 0o644);
  await rename(part, path);
}

function partFile(folder: string): string {
  return join(folder, `${randomBytes(6).toString("hex")}.part`);
}

/** Removes the oldest entries of a kind that has many, and the files that no entry names. */
async function sweep(folder: string): Promise<void> {
  const names = await readdir(folder);
  const entries = names
    .filter((name) => name.endsWith(".json"))
    .map((name) => ({ name, kind: name.split(".")[0], usedMs: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.usedMs - a.usedMs);
  const counts = new Map<string | undefined, number>();
  const named = new Set<string>();
  for (const { name, kind } of entries) {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const entry = count <= entriesOfKind ? parseEntry(join(folder, name)) : undefined;
    if (entry === undefined) {
      await rm(join(folder, name), { force: true });
    }
    for (const { sha256 } of Object.values(entry?.files ?? {})) {
      named.add(sha256);
    }
  }
  for (const name of names.filter((name) => /^[0-9a-f]{64}$/.test(name) && !named.has(name))) {
    await rm(join(folder, name), { force: true });
  }
  for (const name of names.filter((name) => name.endsWith(".part"))) {
    const path = join(folder, name);
    if ((statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < Date.now() - abandonedAfterMs) {
      await rm(path, { force: true });
    }
  }
}

function entryFile(folder: string, { kind, recipe }: Wanted): string {
  const key = createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16);
  return join(folder, `${kind}.${key}.json`);
}

function readEntry(folder: string, wanted: Wanted): Entry | undefined {
  return parseEntry(entryFile(folder, wanted));
}

/** An entry of a form that is not ours is none. */
function parseEntry(path: string): Entry | undefined {
  try {
    const { made, files, note } = JSON.parse(readFileSync(path, "utf8")) as Entry;
    const sound = Object.entries(files).every(
      ([name, { sha256, executable }]) =>
        /^[0-9a-f]{64}$/.test(sha256) &&
        typeof executable === "boolean" &&
        !name.split("/").includes("..") &&
        !name.startsWith("/"),
    );
    return sound && typeof made === "string" && typeof note === "object" ? { made, files, note } : undefined;
  } catch {
    return undefined;
  }
}

const said = new Set<string>();

/** The folders that may be read: one's own before the machine's. With FACECRAFT_PINNED_TOOLS none, because no pin covers them. */
function usable(): string[] {
  if (pinnedOnly()) {
    return [];
  }
  return [ownFolder(), machineCache()].filter((folder): folder is string => {
    if (folder === undefined || !existsSync(folder)) {
      return false;
    }
    const reason = distrusted(folder);
    if (reason !== undefined && !said.has(folder)) {
      said.add(folder);
      say(`${folder} is not used: ${reason}`);
    }
    return reason === undefined;
  });
}

/** Why what lies in a folder is not to be trusted: somebody else could have put it there. */
export function distrusted(folder: string): string | undefined {
  const owners = new Set([0, process.getuid?.() ?? 0]);
  for (const path of [folder, ...readdirSync(folder).map((name) => join(folder, name))]) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      continue; // Somebody else was tidying up.
    }
    if (path !== folder && !found.isFile()) {
      return `${path} is no file`;
    }
    if (!owners.has(found.uid)) {
      return `${path} belongs to user ${found.uid}, and only root and you may own it`;
    }
    if ((found.mode & 0o022) !== 0 && !found.isSymbolicLink()) {
      return `others can write to ${path}; \`chmod go-w ${path}\` if it is what it should be`;
    }
  }
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) {
    const { mode } = statSync(above);
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) {
      return `everybody can write to ${above}`;
    }
  }
  return undefined;
}
