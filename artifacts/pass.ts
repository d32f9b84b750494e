import { createHash, type Hash } from "node:crypto";
import { Bzip2Seams } from "./bzip2.ts";
import { corrupt, type Decoder, type Format, trailing } from "./decoder.ts";
import { startsLike } from "./decompress.ts";
import { ArtifactError, asArtifactError } from "./errors.ts";
import { FileWriter } from "./fileWriter.ts";
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
// The longest that this machine may take to decode or store anything at all.
const patienceMs = 60_000;
// How long a decoder or a file that is given up may take to close.
const farewellMs = 2000;

/** One pass of a byte stream, from its first byte: decoded, counted, hashed and stored. */
export class Pass {
  start = Buffer.alloc(0);
  #sizeBytes = 0;
  #downloadBytes = 0;
  #ended = false;
  #failure: ArtifactError | undefined;
  readonly #options: HashingOptions;
  readonly #hash: Hash = createHash("sha256");
  readonly #downloadHash: Hash | undefined;
  readonly #decoder: Decoder | undefined;
  readonly #seams: Bzip2Seams | undefined;
  readonly #file: FileWriter | undefined;
  readonly #decoded: Promise<void> | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: HashingOptions, decoder: Decoder | undefined) {
    this.#options = options;
    this.#decoder = decoder;
    if (options.file !== undefined) {
      this.#file = new FileWriter(options.file, (error) => this.#fail(error));
    }
    if (decoder === undefined) {
      return;
    }
    this.#downloadHash = createHash("sha256");
    this.#seams = options.format === "bz2" ? new Bzip2Seams() : undefined;
    this.#decoded = this.#pump(decoder).catch((error: unknown) => this.#fail(error));
  }

  write(chunk: Buffer): Promise<void> | undefined {
    this.#check();
    if (this.#downloadBytes === 0) {
      this.#checkStart(chunk);
    }
    this.#downloadBytes += chunk.length;
    if (this.#decoder === undefined) {
      const full = this.#store(chunk);
      return full && this.#orFailure(full);
    }
    countGarbage(chunk.length);
    this.#downloadHash?.update(chunk);
    this.#seams?.feed(chunk);
    const { input } = this.#decoder;
    if (input.write(chunk)) {
      return undefined;
    }
    return this.#orFailure(new Promise((resolve) => input.once("drain", resolve)));
  }

  async finish(): Promise<Hashed> {
    this.#check();
    this.#ended = true;
    if (this.#decoder !== undefined && this.#decoded !== undefined) {
      if (this.#downloadBytes === 0) {
        throw corrupt(this.#options.format, "it is empty");
      }
      this.#decoder.input.end();
      await this.#orFailure(this.#decoded);
      this.#seams?.end();
    }
    if (this.#file !== undefined) {
      await this.#orFailure(this.#file.finish());
    }
    const sha256 = this.#hash.digest("hex");
    const downloadSha256 = this.#downloadHash?.digest("hex") ?? sha256;
    return { sha256, downloadSha256, sizeBytes: this.#sizeBytes, downloadBytes: this.#downloadBytes };
  }

  /** What cannot be closed in a moment is left behind. */
  async abandon(): Promise<void> {
    this.#fail(new ArtifactError("internal", "the transfer was given up"));
    this.#decoder?.kill();
    let timer: NodeJS.Timeout | undefined;
    const farewell = new Promise((resolve) => {
      timer = setTimeout(resolve, farewellMs);
    });
    await Promise.race([Promise.all([this.#decoded, this.#file?.destroy()]), farewell]);
    clearTimeout(timer);
  }

  async #pump({ output, done, kill }: Decoder): Promise<void> {
    // Handled here, so that a decoder's verdict outranks the broken pipe that follows it.
    const verdict = done.then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    try {
      for await (const chunk of output) {
        const full = this.#store(chunk as Buffer);
        if (full !== undefined) {
          await full;
        }
      }
    } catch (error) {
      kill();
      const judged = error instanceof ArtifactError || this.#failure !== undefined ? undefined : await verdict;
      throw judged?.error ?? error;
    }
    const judged = await verdict;
    if (judged !== undefined) {
      throw judged.error;
    }
    if (!this.#ended) {
      // It saw the end of its data and stopped reading, however much still comes.
      throw trailing(this.#options.format);
    }
  }

  #store(chunk: Buffer): Promise<void> | undefined {
    this.#check();
    this.#sizeBytes += chunk.length;
    this.#checkSize();
    countGarbage(chunk.length);
    this.#hash.update(chunk);
    return this.#file?.write(chunk);
  }

  #check(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  #checkStart(chunk: Buffer): void {
    this.start = Buffer.from(chunk.subarray(0, 512));
    if (!startsLike(this.#options.format, chunk)) {
      throw new ArtifactError("corrupt", `the content is not .${this.#options.format} data`);
    }
  }

  #checkSize(): void {
    const { maxBytes, format } = this.#options;
    if (this.#sizeBytes > maxBytes) {
      throw new ArtifactError("too-large", `the content is larger than the limit of ${maxBytes} bytes`);
    }
    if (format !== "none" && this.#sizeBytes > Math.max(bombFloor, bombRatio * this.#downloadBytes)) {
      throw new ArtifactError(
        "too-large",
        `the .${format} data grows more than ${bombRatio}-fold, like a decompression bomb`,
      );
    }
  }

  /** Waits for the decoder or the disk, but not beyond the first failure anywhere in the pass, nor while nothing happens. */
  async #orFailure(work: Promise<unknown>): Promise<void> {
    let settle = () => {};
    const failed = new Promise<void>((resolve) => {
      settle = resolve;
      this.#waiting.add(settle);
      if (this.#failure !== undefined) {
        settle();
      }
    });
    let before = this.#sizeBytes;
    const timer = setInterval(() => {
      if (this.#sizeBytes === before) {
        const seconds = patienceMs / 1000;
        this.#fail(new ArtifactError("disk", `nothing could be decoded or written to the disk for ${seconds} s`));
      }
      before = this.#sizeBytes;
    }, patienceMs);
    try {
      await Promise.race([work, failed]);
    } finally {
      clearInterval(timer);
      this.#waiting.delete(settle);
    }
    this.#check();
  }

  #fail(error: unknown): void {
    this.#failure ??= asArtifactError(error);
    for (const settle of [...this.#waiting]) {
      settle();
    }
  }
}
