import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";

/**
 * Replaces the text of several files, all or none: everything is written beside them first, and then renamed without a
 * pause in which a signal could end the program. When a rename fails, those before it are taken back.
 * @throws the error of the file system, with the files as they were.
 */
export function replaceFiles(files: readonly { path: string; text: string }[]): void {
  const prepared: { path: string; temporary: string; before: Buffer; mode: number }[] = [];
  const ignore = () => {};
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, ignore);
  let replaced = 0;
  try {
    for (const file of files) {
      const path = realpathSync(file.path);
      const { mode } = statSync(path);
      const entry = { path, temporary: `${path}.${process.pid}.tmp`, before: readFileSync(path), mode };
      prepared.push(entry);
      write(entry.temporary, file.text, mode);
    }
    for (const { temporary, path } of prepared) {
      renameSync(temporary, path);
      replaced++;
    }
  } catch (error) {
    for (const { temporary, path, before, mode } of prepared.slice(0, replaced)) {
      write(temporary, before, mode);
      renameSync(temporary, path);
    }
    for (const { temporary } of prepared) rmSync(temporary, { force: true });
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, ignore);
  }
}

function write(path: string, content: string | Buffer, mode: number): void {
  const file = openSync(path, "w", mode);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
