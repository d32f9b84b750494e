import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { ActionableError, fileFault, isSystemError } from "../artifacts/errors.ts";

export interface Replacement {
  path: string;
  text: string | Buffer;
  /** What the file held when its new text was made of it. When it holds something else by now, nothing is replaced. */
  before?: Buffer;
}

interface Prepared {
  path: string;
  temporary: string;
  before: Buffer;
  status: Stats;
}

/**
 * Replaces the text of several files, all or none: everything is written beside them first, and then renamed without a
 * pause in which a signal could end the program. When a rename fails, those before it are taken back.
 * @throws ActionableError for what the file system refuses or somebody else changed, with the files as they were.
 */
export function replaceFiles(files: readonly Replacement[]): void {
  const prepared: Prepared[] = [];
  const ignore = () => {};
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) {
    process.on(signal, ignore);
  }
  let replaced = 0;
  let current = files[0]?.path ?? "";
  try {
    for (const { path: named, text, before } of files) {
      current = named;
      const path = realpathSync(named);
      const now = readFileSync(path);
      if (before !== undefined && !now.equals(before)) {
        throw new ActionableError(
          `${named} was changed by somebody else in the meantime. Nothing was replaced; start again.`,
        );
      }
      const temporary = `${path}.${process.pid}.tmp`;
      const entry = { path, temporary, before: now, status: statSync(path) };
      prepared.push(entry);
      write(entry.temporary, text, entry.status);
    }
    for (const { temporary, path } of prepared) {
      current = path;
      renameSync(temporary, path);
      replaced++;
    }
  } catch (error) {
    for (const { temporary, path, before, status } of prepared.slice(0, replaced)) {
      write(temporary, before, status);
      renameSync(temporary, path);
    }
    for (const { temporary } of prepared) {
      rmSync(temporary, { force: true });
    }
    if (!isSystemError(error)) {
      throw error;
    }
    throw new ActionableError(`${current} cannot be replaced: ${fileFault(error)}. All files are as they were.`);
  } finally {
    for (const signal of signals) {
      process.off(signal, ignore);
    }
  }
}

/** With the mode and, where that is allowed, the owner of the file that it is to replace. */
function write(path: string, content: string | Buffer, { mode, uid, gid }: Stats): void {
  const file = openSync(path, "w", mode);
  try {
    try {
      fchownSync(file, uid, gid);
    } catch {
      // Only root may give a file away.
    }
    fchmodSync(file, mode & 0o7777);
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
