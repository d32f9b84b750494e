import { Readable, Writable } from "node:stream";
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from "node:zlib";
import { corrupt, type Decoder, type Format, trailing } from "./decoder.ts";

export function gunzip(): Decoder {
  return framed("gz", createGunzip, new ZeroPadding());
}

export function unzstd(): Decoder {
  return framed("zst", createZstdDecompress, new SkippableFrames());
}

/** What may stand before, between and after the parts of a file that are to be decoded. */
interface Gap {
  /** Passes over it; gives the rest, which begins with a part or is empty. @throws ArtifactError for anything else. */
  skip(bytes: Buffer, parts: number): Buffer;
  /** Whether the file may end here. */
  complete: boolean;
}

/** A decoder for files of several parts: zlib's own streams end with the first, and say nothing about what follows. */
function framed(format: Format, open: () => Gunzip | ZstdDecompress, gap: Gap): Decoder {
  let part: Part | undefined;
  let parts = 0;
  const output: Readable = new Readable({ read: () => part?.stream.resume() });

  async function take(chunk: Buffer): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      if (part === undefined) {
        rest = gap.skip(rest, parts);
        if (rest.length === 0) {
          return;
        }
        part = new Part(open(), output);
        parts++;
      }
      const current: Part = part;
      rest = rest.subarray(await current.feed(rest));
      if (current.ended) {
        part = undefined;
      }
    }
  }

  const input = new Writable({
    write: (chunk: Buffer, _encoding, next) => void take(chunk).then(() => next(), next),
    final: (next) => {
      const last = part === undefined ? Promise.resolve() : part.end();
      last
        .then(() => {
          if (parts === 0 || !gap.complete) {
            throw corrupt(format, "unexpected end of file");
          }
          output.push(null);
        })
        .then(() => next(), next);
    },
  });
  const done = new Promise<void>((resolve, reject) => {
    output.once("end", resolve).once("close", () => reject(corrupt(format, "stopped")));
    output.on("error", reject);
    input.on("error", (error) => {
      output.destroy(error instanceof Error && error.name === "ArtifactError" ? error : corrupt(format, error.message));
    });
  });
  const kill = () => {
    part?.stream.destroy();
    input.destroy();
    output.destroy();
  };
  return { input, output, done, kill };
}

/** One gzip file or zstd frame (or several in a row, which zlib takes as one where it can). */
class Part {
  readonly stream: Gunzip | ZstdDecompress;
  ended = false;
  #failure: Error | undefined;
  #settle = () => {};

  constructor(stream: Gunzip | ZstdDecompress, output: Readable) {
    this.stream = stream;
    stream.on("data", (chunk: Buffer) => {
      if (!output.push(chunk)) {
        stream.pause();
      }
    });
    stream.once("end", () => {
      this.ended = true;
      this.#settle();
    });
    stream.once("error", (error) => {
      this.#failure = error;
      this.#settle();
    });
  }

  /** How many of the bytes it took: less than all when it ended before. */
  async feed(bytes: Buffer): Promise<number> {
    const before = this.stream.bytesWritten;
    await this.#until(() => this.stream.write(bytes, this.#settle));
    if (this.stream.destroyed && !this.ended) {
      throw new Error("stopped");
    }
    return this.stream.bytesWritten - before;
  }

  end(): Promise<void> {
    return this.#until(() => this.stream.end());
  }

  async #until(act: () => void): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      if (this.ended || this.#failure !== undefined) {
        resolve();
      }
      act();
    });
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }
}

/** gzip files may be filled up with zeros. */
class ZeroPadding implements Gap {
  readonly complete = true;

  skip(bytes: Buffer, parts: number): Buffer {
    let at = 0;
    while (parts > 0 && bytes[at] === 0) {
      at++;
    }
    return bytes.subarray(at);
  }
}

/** Frames of zstd that hold no data: a magic number of sixteen, a length, and as many bytes. */
class SkippableFrames implements Gap {
  #left = 0;
  #head: Buffer = Buffer.alloc(0);

  get complete(): boolean {
    return this.#left === 0 && this.#head.length === 0;
  }

  skip(bytes: Buffer, parts: number): Buffer {
    let rest = bytes;
    while (rest.length > 0) {
      const passed = Math.min(this.#left, rest.length);
      this.#left -= passed;
      rest = Buffer.concat([this.#head, rest.subarray(passed)]);
      this.#head = Buffer.alloc(0);
      const magic = rest.length < 4 ? undefined : rest.readUInt32LE(0);
      if (magic === 0xfd2fb528) {
        return rest;
      }
      if (magic !== undefined && magic >>> 4 !== 0x184d2a5) {
        throw parts > 0 ? trailing("zst") : corrupt("zst", "unknown frame");
      }
      if (rest.length < 8) {
        this.#head = rest;
        return Buffer.alloc(0);
      }
      this.#left = rest.readUInt32LE(4);
      rest = rest.subarray(8);
    }
    return rest;
  }
}
