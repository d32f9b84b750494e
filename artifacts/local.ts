import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Deadline } from "./deadline.ts";
import { ArtifactError, errorCode, fileFault, isSystemError } from "./errors.ts";
import { formatBytes } from "./text.ts";
import type { Sink } from "./transfer.ts";
import type { SourceUrl } from "./url.ts";
import type { Validators } from "./validators.ts";

export interface LocalOptions {
  known?: Validators | undefined;
  /** Longest time without a byte, in milliseconds. */
  idleTimeoutMs: number;
  onProgress: (receivedBytes: number, totalBytes: number) => void;
}

/** Opens a regular file for reading; a pipe or a device is refused at once, where opening or reading it could wait for ever. */
export async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const status = await file.stat();
    if (status.isFile()) {
      return file;
    }
    throw new ArtifactError("file", status.isDirectory() ? "it is a folder, not a file" : "it is not a regular file");
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Feeds a file:// URL to the sink. It has no ETag; its size and times, to the nanosecond, are as good. */
export async function readLocal(
  url: SourceUrl,
  sink: Sink,
  { known, idleTimeoutMs, onProgress }: LocalOptions,
  deadline: Deadline,
): Promise<{ notModified: boolean; etag: string; lengthKnown: true }> {
  const path = url.path();
  let received = 0;
  let storing = false;
  const step = {
    what: () => `the file ${url}: ${formatBytes(received)} so far`,
    limitMs: idleTimeoutMs,
    late: () => (storing ? undefined : new ArtifactError("file", "the file cannot be read (the disk does not answer)")),
  };
  return deadline.step(step, async ({ signal, progress }) => {
    const file = await opened(path);
    try {
      const before = await version(file);
      if (known?.etag === before.etag) {
        return { notModified: true, etag: before.etag, lengthKnown: true };
      }
      for await (const chunk of blocks(file)) {
        signal.throwIfAborted();
        progress();
        received += chunk.length;
        if (received > before.size) {
          throw changed();
        }
        const full = sink.write(chunk);
        if (full !== undefined) {
          storing = true;
          await full;
          storing = false;
        }
        onProgress(received, before.size);
      }
      if ((await version(file)).etag !== before.etag) {
        throw changed();
      }
      return { notModified: false, etag: before.etag, lengthKnown: true };
    } finally {
      await file.close();
    }
  });
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await openRegular(path);
  } catch (error) {
    throw unreadable(error);
  }
}

async function* blocks(file: FileHandle): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(1 << 20), 0, 1 << 20, null);
      if (bytesRead === 0) {
        return;
      }
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw unreadable(error);
  }
}

async function version(file: FileHandle): Promise<{ etag: string; size: number }> {
  const { size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
  return { etag: `"${size}-${mtimeNs}-${ctimeNs}"`, size: Number(size) };
}

function changed(): ArtifactError {
  return new ArtifactError("file", "the file changed while it was read");
}

function unreadable(error: unknown): unknown {
  if (errorCode(error) === "ENOENT") {
    return new ArtifactError("gone", "there is no such file");
  }
  return isSystemError(error) ? new ArtifactError("file", `the file cannot be read: ${fileFault(error)}`) : error;
}
