import { createWriteStream, type WriteStream } from "node:fs";
import { dirname } from "node:path";
import { fromDiskError } from "./errors.ts";

const bufferSize = 1 << 20;
const writeSize = 1 << 19;

/** Writes a file in pieces of half a MiB: a write per chunk would wake another thread every time. */
export class FileWriter {
  readonly #file: WriteStream;
  readonly #closed: Promise<void>;
  #waiting: (() => void) | undefined;
  #corkedBytes = 0;

  constructor(path: string, onError: (error: unknown) => void) {
    this.#file = createWriteStream(path, { highWaterMark: bufferSize, mode: 0o644 });
    this.#file.on("error", (error) => onError(fromDiskError(error, dirname(path))));
    this.#closed = new Promise((resolve) => {
      this.#file.on("close", () => {
        this.#waiting?.();
        resolve();
      });
    });
    this.#file.cork();
  }

  /** Takes a chunk; a promise when the next one should wait for the disk. */
  write(chunk: Buffer): Promise<void> | undefined {
    const file = this.#file;
    const room = file.write(chunk);
    this.#corkedBytes += chunk.length;
    if (room && this.#corkedBytes < writeSize) {
      return undefined;
    }
    this.#corkedBytes = 0;
    file.uncork();
    file.cork();
    if (room) {
      return undefined;
    }
    file.uncork();
    return new Promise<void>((resolve) => {
      this.#waiting = resolve;
      file.once("drain", resolve);
    }).then(() => file.cork());
  }

  /** Resolves when all is written and the file is closed; or when it was given up, which onError has told. */
  finish(): Promise<void> {
    this.#file.end();
    return this.#closed;
  }

  destroy(): Promise<void> {
    this.#file.destroy();
    return this.#closed;
  }
}
