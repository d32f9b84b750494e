import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Puts a file in place at once, whole, whatever was there: who reads it meanwhile has the old text or the new one. */
export async function replaceText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.new-${process.pid}`;
  await writeFile(fresh, text);
  await rename(fresh, path);
}
