import { Deadline } from "./deadline.ts";
import { ArtifactError, fromDiskError } from "./errors.ts";

export interface OnDiskOptions {
  signal?: AbortSignal | undefined;
  say?: ((waitingFor: string) => void) | undefined;
  waitEveryMs?: number | undefined;
}

// As long as hashing the largest file there can be takes, and more.
const longestMs = 30 * 60_000;

/** Work on the cache folder: it has a deadline of its own, and its errors name the folder and the remedy. */
export async function onDisk<T>(
  dir: string,
  { signal, say, waitEveryMs }: OnDiskOptions,
  work: () => Promise<T>,
): Promise<T> {
  const what = () => `the disk of ${dir}`;
  const late = () => new ArtifactError("disk", `${what()} does not answer`);
  try {
    return await Deadline.over({ what, signal, allowedMs: () => longestMs, late, say, sayEveryMs: waitEveryMs }, work);
  } catch (error) {
    signal?.throwIfAborted();
    const { code, message } = fromDiskError(error, dir);
    throw new ArtifactError(code, code === "disk" ? `cannot be stored: ${message}` : message);
  }
}
