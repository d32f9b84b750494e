import { decoder } from "./decompress.ts";
import { type Hashed, type HashingOptions, Pass } from "./pass.ts";
import type { Sink } from "./transfer.ts";

/** Decodes, counts, hashes and stores a byte stream that may start over. */
export class HashingSink implements Sink {
  readonly #options: HashingOptions;
  #pass: Pass;
  #abandoned = false;

  private constructor(options: HashingOptions, pass: Pass) {
    this.#options = options;
    this.#pass = pass;
  }

  static async open(options: HashingOptions): Promise<HashingSink> {
    return new HashingSink(options, await openPass(options));
  }

  write(chunk: Buffer): Promise<void> | undefined {
    return this.#pass.write(chunk);
  }

  async restart(): Promise<void> {
    await this.#pass.abandon();
    const pass = await openPass(this.#options);
    this.#pass = pass;
    if (this.#abandoned) {
      await pass.abandon();
    }
  }

  /** Ends the stream; resolves once every byte is in the file. */
  finish(): Promise<Hashed> {
    return this.#pass.finish();
  }

  /** Stops everything, for good; the file stays behind for the caller to remove. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    await this.#pass.abandon();
  }

  /** The first bytes as they were served, to tell an error page from a model. */
  get start(): Buffer {
    return this.#pass.start;
  }
}

async function openPass(options: HashingOptions): Promise<Pass> {
  return new Pass(options, options.format === "none" ? undefined : await decoder(options.format));
}
