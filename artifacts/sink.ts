import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { type Decoder, decoder, endsLikeBzip2, type Format, startsLike } from "./decompress.ts";
import type { Sink } from "./download.ts";
import { ArtifactError } from "./errors.ts";
import { countGarbage } from "./memory.ts";

export interface HashingOptions {
  format: Format;
  /** Where the decoded bytes go; without it they are only hashed. */
  file?: string | undefined;
  /** Most decoded bytes that are accepted. */
  maxBytes: number;
}

export interface Hashed {
  /** Of the decoded bytes. */
  sha256: string;
  /** Of the bytes as served. */
  downloadSha256: string;
  sizeBytes: number;
  downloadBytes: number;
}

// A model compresses a few times at best. What grows more than this is a bomb, however much it may be allowed in total.
const bombRatio = 250;
const bombFloor = 64 << 20;
const fileBuffer = 1 << 20;
const writeSize = 1 << 19;

/** Decodes, counts, hashes and stores a byte stream in one pass. */
export class HashingSink implements Sink {
  private readonly options: HashingOptions;
  private pass: Pass;

  private constructor(options: HashingOptions, pass: Pass) {
    this.options = options;
    this.pass = pass;
  }

  static async open(options: HashingOptions): Promise<HashingSink> {
    return new HashingSink(options, await openPass(options));
  }

  write(chunk: Buffer): Promise<void> | undefined {
    return this.pass.write(chunk);
  }

  async restart(): Promise<void> {
    await this.pass.abandon();
    this.pass = await openPass(this.options);
  }

  /** Ends the stream; resolves once every byte is in the file. */
  finish(): Promise<Hashed> {
    return this.pass.finish();
  }

  /** Stops everything; the file stays behind for the caller to remove. */
  async abandon(): Promise<void> {
    await this.pass.abandon();
  }

  /** The first decoded-or-not bytes as they were served, to tell an error page from a model. */
  get start(): Buffer {
    return this.pass.start;
  }
}

async function openPass(options: HashingOptions): Promise<Pass> {
  return new Pass(options, options.format === "none" ? undefined : await decoder(options.format));
}

class Pass {
  start = Buffer.alloc(0);
  private tail = Buffer.alloc(0);
  private sizeBytes = 0;
  private corkedBytes = 0;
  private downloadBytes = 0;
  private failure: unknown;
  private readonly options: HashingOptions;
  private readonly hash: Hash = createHash("sha256");
  private readonly downloadHash: Hash | undefined;
  private readonly decoder: Decoder | undefined;
  private readonly file: WriteStream | undefined;
  private readonly decoded: Promise<void> | undefined;

  constructor(options: HashingOptions, decoder: Decoder | undefined) {
    this.options = options;
    this.decoder = decoder;
    if (options.file !== undefined) {
      this.file = createWriteStream(options.file, { highWaterMark: fileBuffer, mode: 0o644 });
      this.file.on("error", (error) => this.fail(error));
      this.file.cork();
    }
    if (decoder === undefined) return;
    this.downloadHash = createHash("sha256");
    this.decoded = this.pump(decoder);
    this.decoded.catch((error: unknown) => this.fail(error));
  }

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.failure !== undefined) throw this.failure;
    if (this.downloadBytes === 0) this.checkStart(chunk);
    this.downloadBytes += chunk.length;
    if (this.decoder === undefined || this.downloadHash === undefined) return this.store(chunk);
    countGarbage(chunk.length);
    this.downloadHash.update(chunk);
    this.tail = Buffer.concat([this.tail, chunk.subarray(-16)]).subarray(-16);
    return this.decoder.input.write(chunk) ? undefined : this.drained(this.decoder.input);
  }

  async finish(): Promise<Hashed> {
    if (this.failure !== undefined) throw this.failure;
    const { format } = this.options;
    if (this.decoder !== undefined) {
      this.decoder.input.end();
      await this.decoded;
      if (format === "bz2" && !endsLikeBzip2(this.tail)) {
        throw new ArtifactError("corrupt", "the .bz2 data is followed by bytes that do not belong to it");
      }
    }
    if (this.file !== undefined) {
      this.file.end();
      if (!this.file.closed) await this.until(this.file, "close");
    }
    if (this.failure !== undefined) throw this.failure;
    const sha256 = this.hash.digest("hex");
    const downloadSha256 = this.downloadHash?.digest("hex") ?? sha256;
    return { sha256, downloadSha256, sizeBytes: this.sizeBytes, downloadBytes: this.downloadBytes };
  }

  async abandon(): Promise<void> {
    this.failure ??= new Error("abandoned");
    this.decoder?.kill();
    await this.decoded?.catch(() => {});
    if (this.file !== undefined && !this.file.closed) {
      this.file.destroy();
      await once(this.file, "close").catch(() => {});
    }
  }

  private async pump({ output, done, kill }: Decoder): Promise<void> {
    // Handled here, so that a decoder's verdict outranks the broken pipe that follows it.
    const verdict = done.then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    try {
      for await (const chunk of output) {
        const full = this.store(chunk as Buffer);
        if (full !== undefined) await full;
      }
    } catch (error) {
      kill();
      const judged = error instanceof ArtifactError || this.failure !== undefined ? undefined : await verdict;
      throw judged?.error ?? error;
    }
    const judged = await verdict;
    if (judged !== undefined) throw judged.error;
  }

  private store(chunk: Buffer): Promise<void> | undefined {
    if (this.failure !== undefined) throw this.failure;
    this.sizeBytes += chunk.length;
    this.checkSize();
    countGarbage(chunk.length);
    this.hash.update(chunk);
    return this.file === undefined ? undefined : this.append(this.file, chunk);
  }

  /** Hands the file pieces of a MiB: a write per chunk would wake another thread every time. */
  private append(file: WriteStream, chunk: Buffer): Promise<void> | undefined {
    const room = file.write(chunk);
    this.corkedBytes += chunk.length;
    if (room && this.corkedBytes < writeSize) return undefined;
    this.corkedBytes = 0;
    file.uncork();
    file.cork();
    if (room) return undefined;
    file.uncork();
    return this.drained(file).then(() => file.cork());
  }

  private checkStart(chunk: Buffer): void {
    this.start = Buffer.from(chunk.subarray(0, 512));
    if (!startsLike(this.options.format, chunk)) {
      throw new ArtifactError("corrupt", `the content is not .${this.options.format} data`);
    }
  }

  private checkSize(): void {
    const { maxBytes, format } = this.options;
    if (this.sizeBytes > maxBytes) {
      throw new ArtifactError("too-large", `the content is larger than the limit of ${maxBytes} bytes`);
    }
    if (format !== "none" && this.sizeBytes > Math.max(bombFloor, bombRatio * this.downloadBytes)) {
      throw new ArtifactError(
        "too-large",
        `the .${format} data grows more than ${bombRatio}-fold, like a decompression bomb`,
      );
    }
  }

  private async drained(stream: NodeJS.WritableStream): Promise<void> {
    await this.until(stream, "drain");
    if (this.failure !== undefined) throw this.failure;
  }

  /** Waits for an event of a stream, or for the first failure anywhere in the pass. */
  private until(stream: NodeJS.EventEmitter, event: string): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        stream.off(event, settle);
        this.waiting.delete(settle);
        resolve();
      };
      this.waiting.add(settle);
      stream.once(event, settle);
      if (this.failure !== undefined) settle();
    });
  }

  private readonly waiting = new Set<() => void>();

  private fail(error: unknown): void {
    this.failure ??= error;
    for (const settle of [...this.waiting]) settle();
  }
}
