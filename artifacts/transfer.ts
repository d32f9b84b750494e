import { eachChunk } from "./body.ts";
import type { Deadline } from "./deadline.ts";
import { ArtifactError } from "./errors.ts";
import { discard, get, type HttpOptions, header, type Response } from "./http.ts";
import { numberOf, partOf, rangeProof } from "./range.ts";
import { formatBytes } from "./text.ts";
import type { SourceUrl } from "./url.ts";
import { sameVersion, type Validators, validatorsOf } from "./validators.ts";

/** Where the bytes go, in order. `restart` forgets all of them: the next byte is again the first. */
export interface Sink {
  write(chunk: Buffer): Promise<void> | undefined;
  restart(): Promise<void>;
}

export interface TransferOptions extends HttpOptions {
  /** The version we have: when the server still serves it, nothing is transferred. */
  known?: Validators | undefined;
  /** Whether a broken transfer may be continued where it stopped. */
  resume: boolean;
  onProgress: (receivedBytes: number, totalBytes: number | undefined) => void;
}

export interface Download extends Validators {
  /** The server still has the known version; the sink saw no byte. */
  notModified: boolean;
  /** Bytes of the body as served. */
  receivedBytes: number;
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  /** Whether the server said how long the body is; without, a cut connection looks like the end. */
  lengthKnown: boolean;
}

// What counts as progress: less than this per attempt, and a server could keep us busy for ever.
const progressBytes = 1 << 20;
// The least that must come per idle timeout, and in one piece of a file that a server only gives in pieces.
const paceBytes = 1 << 16;

/** One file on its way through as many attempts as it takes; each continues what the one before it got. */
export class Transfer {
  #received = 0;
  #best = 0;
  #startedAt = 0;
  #total: number | undefined;
  #version: Validators = {};
  #known: Validators | undefined;
  #resumed = false;
  readonly #url: SourceUrl;
  readonly #sink: Sink;
  readonly #options: TransferOptions;
  readonly #deadline: Deadline;

  constructor(url: SourceUrl, sink: Sink, options: TransferOptions, deadline: Deadline) {
    this.#url = url;
    this.#sink = sink;
    this.#options = options;
    this.#deadline = deadline;
    this.#known = options.known;
  }

  /** Whether the last attempt got clearly further than all before it. */
  get madeProgress(): boolean {
    return this.#received >= this.#startedAt + progressBytes;
  }

  /** Whether what the sink got was put together from several answers. */
  get resumed(): boolean {
    return this.#resumed;
  }

  async attempt(): Promise<Download> {
    this.#startedAt = this.#best = Math.max(this.#best, this.#received);
    if (this.#received > 0 && !this.#options.resume) {
      await this.#startOver();
    }
    for (;;) {
      const response = await get(this.#url, this.#conditions(), this.#options, this.#deadline);
      const download = await this.#take(response);
      if (download !== undefined) {
        return download;
      }
    }
  }

  /** Takes what an answer brings; undefined when the next request can bring more. */
  async #take(response: Response): Promise<Download | undefined> {
    const { statusCode: status } = response;
    if (status === 304) {
      return this.#notModified(response);
    }
    if (status === 206 || status === 416) {
      const end = await this.#continues(response);
      const before = this.#received;
      await this.#receive(response, end);
      if (this.#received === (this.#total ?? end)) {
        return this.#result(response, false);
      }
      if (this.#received - before < paceBytes) {
        throw new ArtifactError("unreachable", "the server sends the rest in pieces that are too small");
      }
      return undefined;
    }
    if (this.#received > 0) {
      await this.#startOver();
    }
    this.#version = validatorsOf(response);
    this.#total = numberOf(header(response, "content-length"));
    if (sameVersion(this.#known, this.#version)) {
      await discard(response);
      return this.#result(response, true);
    }
    await this.#receive(response, this.#total);
    return this.#result(response, false);
  }

  async #notModified(response: Response): Promise<Download | undefined> {
    await discard(response);
    if (this.#known === undefined) {
      throw new ArtifactError("refused", "the server answered 304 unasked");
    }
    const told = validatorsOf(response);
    if (told.etag !== undefined && this.#known.etag !== undefined && !sameVersion(this.#known, told)) {
      // "As you know it, but another version": only the bytes can tell.
      this.#known = undefined;
      return undefined;
    }
    return this.#result(response, true);
  }

  #conditions(): Record<string, string> {
    if (this.#received === 0) {
      const { etag, lastModified } = this.#known ?? {};
      if (etag !== undefined) {
        return { "if-none-match": etag };
      }
      return lastModified === undefined ? {} : { "if-modified-since": lastModified };
    }
    const proof = rangeProof(this.#version);
    return proof === undefined ? {} : { range: `bytes=${this.#received}-`, "if-range": proof };
  }

  /** Where the part that a 206 brings ends, if it is the rest, or more, of exactly what we have so far. */
  async #continues(response: Response): Promise<number> {
    if (this.#received === 0 || rangeProof(this.#version) === undefined) {
      await discard(response);
      const asked = "to a request for the whole file";
      throw new ArtifactError("refused", `the server answered ${response.statusCode} ${asked}`);
    }
    const part = partOf(response, this.#received, this.#total, this.#version);
    if (part === undefined) {
      await discard(response);
      await this.#startOver();
      throw new ArtifactError("unreachable", "the file changed on the server during the transfer");
    }
    this.#resumed = true;
    this.#total = part.total;
    return part.end;
  }

  async #startOver(): Promise<void> {
    this.#received = 0;
    this.#total = undefined;
    this.#version = {};
    this.#resumed = false;
    await this.#sink.restart();
  }

  /** Feeds a body to the sink; `end` is how many bytes there are when it is over, where that is known. */
  async #receive(response: Response, end: number | undefined): Promise<void> {
    this.#options.onProgress(this.#received, this.#total);
    const what = () => `the rest of ${this.#url}: ${this.#soFar()}`;
    const { idleTimeoutMs } = this.#options;
    await eachChunk(response.body, { what, idleTimeoutMs, paceBytes }, this.#deadline, (chunk) => {
      this.#received += chunk.length;
      if (this.#received > (end ?? Infinity)) {
        return "enough";
      }
      this.#options.onProgress(this.#received, this.#total);
      return this.#sink.write(chunk);
    });
    if (end !== undefined && this.#received < end) {
      throw new ArtifactError("unreachable", `the body ended after ${this.#received} of ${end} bytes`);
    }
    if (end !== undefined && this.#received > end) {
      await this.#startOver();
      throw new ArtifactError("unreachable", "the server sent more bytes than it announced");
    }
  }

  #soFar(): string {
    const whole = this.#total === undefined ? "" : ` of ${formatBytes(this.#total)}`;
    return `${formatBytes(this.#received)}${whole} so far`;
  }

  #result(response: Response, notModified: boolean): Download {
    return {
      // Of a 304 nothing is taken over: what it says of the version, no byte has proven.
      ...(notModified ? this.#known : this.#version),
      notModified,
      receivedBytes: this.#received,
      contentType: header(response, "content-type"),
      contentEncoding: header(response, "content-encoding"),
      lengthKnown: this.#total !== undefined || header(response, "transfer-encoding") !== undefined,
    };
  }
}
