import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, utimes } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import dockerignore from "@balena/dockerignore";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { isGitUrl } from "./config.ts";

/** The application that goes into an image, as the builder and the labels need it. */
export interface Source {
  /** Location of the named build context `app`: a git URL, or a folder relative to the program. */
  context: string;
  /** Commit of the code; for a directory that differs from its commit, or has none, a digest of the code follows. */
  revision: string;
  /** When the commit was made, in seconds since 1970; where that is not known, a constant. */
  committedAt: number;
}

/** The time that the Dockerfiles give to all files. An image with this date has a source without a known one. */
const noDate = 315_532_800;

/** Copies of application directories, each named for the digest of its content. */
const snapshots = ".facecraft/source";

/**
 * Finds the application's revision and turns it into a build context.
 *
 * A git URL is used as it is: the builder fetches the commit. A directory is copied, without what the ignore file
 * excludes and with the same file modes everywhere, because the docker-build provider's context hash covers modes: a
 * checkout under another umask would otherwise look like a change.
 *
 * @param ignoreFile path of the Dockerfile's ignore file, which says what of the directory is the application
 */
export async function resolveSource(source: string, ignoreFile: string): Promise<Source> {
  if (isGitUrl(source)) {
    return { context: source, revision: source.replace(/^.*#([0-9a-f]{40}).*$/, "$1"), committedAt: noDate };
  }
  const files = await listFiles(source, readFileSync(ignoreFile, "utf8"));
  for (const needed of ["requirements.txt", "src/facecraft/main.py"]) {
    if (!files.includes(needed)) {
      const contract = "a Facecraft application has requirements.txt and src/facecraft/main.py";
      throw new pulumi.RunError(`facecraft:source is "${source}", which has no ${needed}; ${contract}.`);
    }
  }
  const digest = await digestFiles(source, files);
  const [context, git] = await Promise.all([snapshot(source, files, digest), gitStatus(source)]);
  return { context, revision: revisionOf(git, files, digest), committedAt: git?.committedAt ?? noDate };
}

/** What git says of a directory: the commit that last changed it, and paths in it that differ from that commit. */
export interface GitStatus {
  commit: string;
  committedAt: number;
  changed: string[];
}

export function revisionOf(
  git: Pick<GitStatus, "commit" | "changed"> | undefined,
  files: readonly string[],
  digest: string,
): string {
  if (git === undefined) {
    return `unversioned-${digest.slice(0, 12)}`;
  }
  const included = git.changed.some((path) => files.includes(path) || isDeletedCode(path));
  return included ? `${git.commit}-dirty-${digest.slice(0, 12)}` : git.commit;
}

// A deleted file is in no listing of the directory any more, so it is known by its place.
function isDeletedCode(path: string): boolean {
  return /^(requirements[^/]*\.txt|src\/.*)$/.test(path) && !/(^|\/)__pycache__\//.test(path);
}

async function gitStatus(directory: string): Promise<GitStatus | undefined> {
  // Not `rev-parse HEAD`: a commit that leaves the application alone does not make another image.
  const script = [
    `git rev-parse --is-inside-work-tree >/dev/null || exit 0`,
    `git log -1 --format='%H %ct' -- .`,
    `git status --porcelain --untracked-files=all -z -- . | tr '\\0' '\\n'`,
    `git rev-parse --show-prefix | sed 's/^/prefix /'`,
  ].join("\n");
  const { stdout, stderr } = await command.local.run({ command: script, dir: resolve(directory) });
  if (stderr && !/not a git repository|does not have any commits/.test(stderr)) {
    throw new pulumi.RunError(`git cannot tell the revision of facecraft:source "${directory}": ${stderr.trim()}`);
  }
  const lines = (stdout ?? "").split("\n");
  const [commit, time] = lines.find((line) => /^[0-9a-f]{40} \d+$/.test(line))?.split(" ") ?? [];
  const prefix = lines.find((line) => line.startsWith("prefix "))?.slice("prefix ".length) ?? "";
  const changed = lines.filter((line) => /^[ MADRCU?!]{2} /.test(line)).map((line) => line.slice(3 + prefix.length));
  return commit === undefined ? undefined : { commit, committedAt: Number(time), changed };
}

/** Paths of the files that the ignore rules let through, relative to the directory, sorted. */
export async function listFiles(directory: string, ignoreRules: string): Promise<string[]> {
  const rules = dockerignore.default({ ignorecase: false }).add(ignoreRules);
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(directory, "/").length))
    .filter((path) => !rules.ignores(path))
    .sort();
}

/** Digest (64 hex digits) of paths, contents, link targets and executable bits: what a build can see of the files. */
async function digestFiles(directory: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of files) {
    const status = await lstat(join(directory, path));
    const content = status.isSymbolicLink()
      ? Buffer.from(await readlink(join(directory, path)))
      : await readFile(join(directory, path));
    const kind = status.isSymbolicLink() ? "link" : status.mode & 0o100 ? "executable" : "file";
    hash.update(`${kind} ${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/** Copies the files to a folder named for their digest, where it is not there yet; half a copy never has the name. */
async function snapshot(directory: string, files: readonly string[], digest: string): Promise<string> {
  const target = join(snapshots, digest.slice(0, 16));
  if (existsSync(target)) {
    return target;
  }
  await mkdir(snapshots, { recursive: true });
  const copy = await mkdtemp(join(snapshots, ".copy-"));
  try {
    for (const path of files) {
      const destination = join(copy, path);
      await mkdir(dirname(destination), { recursive: true });
      await cp(join(directory, path), destination, { verbatimSymlinks: true });
    }
    await normalize(copy);
    await rename(copy, target);
  } catch (error) {
    // Another update of the same code may have put the same copy there first.
    if (!existsSync(target)) {
      throw error;
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
  return target;
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
