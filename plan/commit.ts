import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readlink, realpath, stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { ActionableError } from "../artifacts/errors.ts";
import type { Entry } from "./entries.ts";
import { includes } from "./snapshot.ts";

/** The commit that last changed a directory, and what it has there. */
export interface Commit {
  id: string;
  /** Seconds since 1970. */
  committedAt: number;
  /** Of each path, relative to the directory: the kind, and the id that git has for the content. */
  tree: ReadonlyMap<string, string>;
}

/**
 * Asks git for the commit that last changed a directory.
 *
 * @returns undefined where there is no repository, or no commit that has the directory
 * @throws ActionableError when git cannot tell
 */
export async function lastCommit(directory: string): Promise<Commit | undefined> {
  try {
    // Not `rev-parse HEAD`: a commit that leaves the application alone does not make another image.
    const last = await runGit(directory, ["rev-list", "-1", "--timestamp", "HEAD", "--", "."]);
    const [time, id] = last.trim().split(" ");
    if (id === undefined) {
      return undefined;
    }
    // Of the commit that is named, not of HEAD: what is said is true of it, whatever history git was told to believe.
    const tree = await runGit(directory, ["ls-tree", "-r", "-z", id, "--", "."]);
    const entries = tree.split("\0").filter(Boolean).map(parseTreeEntry);
    return { id, committedAt: Number(time), tree: new Map(entries) };
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/not a git repository|bad revision 'HEAD'|[Nn]ot a valid object name HEAD/.test(said)) {
      return undefined;
    }
    throw new ActionableError(`git cannot tell the revision of facecraft:source "${directory}": ${said}`);
  }
}

/** The commit that a working tree stands on, with `-dirty` where its files are not that commit's; `unversioned` without one. */
export async function headCommit(directory: string): Promise<string> {
  try {
    const [head, changed] = await Promise.all([
      runGit(directory, ["rev-parse", "--verify", "HEAD"]),
      runGit(directory, ["status", "--porcelain", "--untracked-files=no"]),
    ]);
    return `${head.trim()}${changed.trim() === "" ? "" : "-dirty"}`;
  } catch {
    return "unversioned";
  }
}

/** `<mode> <type> <id>\t<path>`: the path, and what is compared: the kind and the content. */
function parseTreeEntry(entry: string): [string, string] {
  const at = entry.indexOf("\t");
  const [mode = "", , id = ""] = entry.slice(0, at).split(" ");
  const kinds: Record<string, string> = { "120000": "link", "100755": "executable", "160000": "submodule" };
  return [entry.slice(at + 1), `${kinds[mode] ?? "file"} ${id}`];
}

/**
 * Finds what of an application is not the commit's: other content, another kind, not in the commit at all, or gone; sorted.
 * The bytes that go into the image decide: not git's index, its flags or its ignore rules, and not its filters either, which
 * can make other bytes of a file pass for those of the commit.
 *
 * @param entries of the directory
 * @param snapshot the folder that holds them as they go into the image
 * @param rules the ignore file's, which say what of the commit is the application, too
 */
export async function findUncommitted(
  { id, tree }: Commit,
  directory: string,
  entries: readonly Entry[],
  snapshot: string,
  rules: string,
): Promise<string[]> {
  const found = await identify(directory, entries, snapshot, id.length === 64 ? "sha256" : "sha1");
  const included = includes(rules);
  const gone = [...tree.keys()].filter((path) => included(path) && !found.has(path));
  const changed = [...found].filter(([path, id]) => tree.get(path) !== id).map(([path]) => path);
  return [...changed, ...gone].sort();
}

/** What a commit would call each entry: of a link that was followed, the link and the file that it leads to. */
async function identify(
  directory: string,
  entries: readonly Entry[],
  snapshot: string,
  algorithm: string,
): Promise<Map<string, string>> {
  const root = await realpath(directory);
  const found = new Map<string, string>();
  for (const { path, from, kind } of entries) {
    const isFollowed = from !== join(directory, path);
    if (kind === "link" || isFollowed) {
      found.set(path, `link ${blobId(algorithm, await readlink(join(directory, path)))}`);
    }
    if (kind !== "link") {
      const place = isFollowed ? relative(root, from) : path;
      found.set(place, `${kind} ${await fileId(algorithm, join(snapshot, path))}`);
    }
  }
  return found;
}

function blobId(algorithm: string, content: string): string {
  return createHash(algorithm)
    .update(`blob ${Buffer.byteLength(content)}\0${content}`)
    .digest("hex");
}

async function fileId(algorithm: string, path: string): Promise<string> {
  const hash = createHash(algorithm).update(`blob ${(await stat(path)).size}\0`);
  for await (const piece of createReadStream(path)) {
    hash.update(piece);
  }
  return hash.digest("hex");
}

function runGit(directory: string, args: readonly string[]): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn("git", [...plainly, ...args], {
      cwd: resolve(directory),
      env: gitEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (piece) => stdout.push(piece));
    child.stderr.on("data", (piece) => stderr.push(piece));
    child.on("error", ({ code, message }: NodeJS.ErrnoException) => {
      fail(new Error(code === "ENOENT" ? "git is not installed, or not on the PATH" : message));
    });
    child.on("close", (code) => {
      const said = Buffer.concat(stderr).toString().trim();
      return code === 0 ? done(Buffer.concat(stdout).toString()) : fail(new Error(said || `it ended with ${code}`));
    });
  });
}

// An object that stands in for a commit (`git replace`) is not the commit. A setting can outdo the variable.
const plainly = ["--no-replace-objects", "-c", "core.useReplaceRefs=false"];

/**
 * The environment without what would make git answer for another repository (a hook of git, for one, runs with GIT_DIR
 * set), in another language, or write to the index of a repository that is not ours.
 */
function gitEnvironment(): NodeJS.ProcessEnv {
  // Git's own list, `git rev-parse --local-env-vars`, but for the settings, which may say whose folders are trusted.
  const local = [
    ...["ALTERNATE_OBJECT_DIRECTORIES", "COMMON_DIR", "DIR", "GRAFT_FILE", "IMPLICIT_WORK_TREE", "INDEX_FILE"],
    ...["INTERNAL_SUPER_PREFIX", "NAMESPACE", "NO_REPLACE_OBJECTS", "OBJECT_DIRECTORY", "PREFIX", "REPLACE_REF_BASE"],
    ...["SHALLOW_FILE", "WORK_TREE"],
  ].map((name) => `GIT_${name}`);
  const kept = Object.entries(process.env).filter(([name]) => !local.includes(name));
  return { ...Object.fromEntries(kept), LC_ALL: "C", GIT_OPTIONAL_LOCKS: "0" };
}
