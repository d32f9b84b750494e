import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";
import { ActionableError } from "../artifacts/errors.ts";

/** A file as it goes into a build. */
export interface Entry {
  /** Where it goes, relative to the context. */
  path: string;
  /** Where its content, or the link itself, is read. */
  from: string;
  kind: "file" | "executable" | "link";
}

/**
 * Says of each file of a directory what of it goes into a build. A link stays one where what it leads to goes along; a link to
 * another file of the directory is followed; one that leads out of it is refused: what is out there is no part of any commit.
 * So is one whose way there is decided by a link that does not go along: nobody would see that one change.
 *
 * @param files paths in the directory
 * @throws ActionableError that names the file
 */
export async function entriesOf(directory: string, files: readonly string[]): Promise<Entry[]> {
  const root = await realpath(directory);
  const known = new Set(files);
  const folders = new Set(files.flatMap(parentsOf));
  return Promise.all(
    files.map(async (path) => {
      const from = join(directory, path);
      try {
        const status = await lstat(from);
        if (!status.isSymbolicLink()) {
          return { path, from, kind: kindOf(status.mode) };
        }
        const target = await realpath(from).catch(() => undefined);
        const inside = target === undefined ? undefined : relative(root, target);
        const led = await readlink(from);
        if (
          inside === undefined ||
          isAbsolute(led) ||
          inside === "" ||
          inside === ".." ||
          inside.startsWith("../") ||
          isAbsolute(inside)
        ) {
          const whither = target === undefined ? "which is not there" : "which is not a relative path within it";
          throw new ActionableError(
            `${path} in ${directory} is a link to ${JSON.stringify(led)}, ${whither}. Put the file itself there, or link to one of the same folder.`,
          );
        }
        const decidedBy = await linkOnTheWay(root, path, known);
        if (decidedBy !== undefined) {
          throw new ActionableError(
            `${path} in ${directory} is a link to ${JSON.stringify(led)}, which leads on by ${decidedBy}, a link that does not go into the image. Link to the file itself.`,
          );
        }
        if (known.has(inside) || folders.has(inside)) {
          return { path, from, kind: "link" as const };
        }
        const found = await stat(from);
        if (!found.isFile()) {
          throw new ActionableError(
            `${path} in ${directory} is a link to ${JSON.stringify(led)}, a folder of which nothing goes into the image. Put the files themselves there.`,
          );
        }
        return { path, from: target as string, kind: kindOf(found.mode) };
      } catch (error) {
        throw error instanceof ActionableError ? error : unreadable(directory, path, error as NodeJS.ErrnoException);
      }
    }),
  );
}

/** The first link that a path leads through and that is none of the known files. */
async function linkOnTheWay(root: string, path: string, known: ReadonlySet<string>): Promise<string | undefined> {
  let passed = "";
  const parts = path.split("/");
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    const here = join(passed, part);
    const target = await readlink(join(root, here)).catch(() => undefined);
    if (target !== undefined && !known.has(here)) {
      return here;
    }
    if (target === undefined) {
      passed = here;
    } else {
      parts.unshift(...target.split("/"));
    }
  }
  return undefined;
}

function kindOf(mode: number): "file" | "executable" {
  return mode & 0o100 ? "executable" : "file";
}

function parentsOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_part, at) => parts.slice(0, at + 1).join("/"));
}

function unreadable(directory: string, path: string, { code, message }: NodeJS.ErrnoException): ActionableError {
  const isGarbled = code === "ENOENT" && path.includes("\ufffd");
  return new ActionableError(
    isGarbled
      ? `The name of a file in ${directory} is not UTF-8 (it begins like ${JSON.stringify(path)}). Rename it.`
      : `${path} in ${directory} cannot be read: ${message}.`,
  );
}
