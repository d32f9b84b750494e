import pRetry from "p-retry";
import { ArtifactError, fromNetworkError } from "./errors.ts";
import { discard, get, type HttpOptions, header, type Response, type Validators, validatorsOf } from "./http.ts";

/** Where the bytes go, in order. `restart` forgets all of them: the next byte is again the first. */
export interface Sink {
  write(chunk: Buffer): Promise<void> | undefined;
  restart(): Promise<void>;
}

export interface DownloadOptions extends HttpOptions {
  /** The version we have: when the server still serves it, nothing is transferred. */
  known?: Validators | undefined;
  /** Attempts in a row without a new byte. */
  retries: number;
  /** First pause between attempts in milliseconds; doubles, with jitter, up to 30 s. */
  retryDelayMs: number;
  onProgress?: ((receivedBytes: number, totalBytes: number | undefined) => void) | undefined;
  onRetry?: ((cause: string) => void) | undefined;
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

/**
 * Feeds the body behind an http(s) URL to the sink. Broken, stalled and refused transfers are retried and continued
 * where they stopped, but only while the server proves that it is still the same version; otherwise from the start.
 * @throws ArtifactError; whatever the sink throws ends the download at once.
 */
export async function download(url: string, sink: Sink, options: DownloadOptions): Promise<Download> {
  const transfer = new Transfer(url, sink, options);
  return pRetry(() => transfer.attempt(), {
    retries: options.retries,
    minTimeout: options.retryDelayMs,
    maxTimeout: 30_000,
    randomize: true,
    ...(options.signal ? { signal: options.signal } : {}),
    shouldConsumeRetry: () => !transfer.madeProgress,
    shouldRetry: ({ error }) => error instanceof ArtifactError && error.code === "unreachable",
    onFailedAttempt: async ({ error, retriesLeft, retryDelay }) => {
      if (!(error instanceof ArtifactError) || error.code !== "unreachable" || retriesLeft === 0) return;
      options.onRetry?.(error.message);
      // After progress p-retry does not pause; a server in trouble still gets a moment.
      const pause = Math.max((error.retryAfterMs ?? 0) - retryDelay, transfer.madeProgress ? options.retryDelayMs : 0);
      if (pause > 0) await sleep(pause, options.signal);
    },
  });
}

// What counts as progress: less than this per attempt, and a server could keep us busy for ever.
const progressBytes = 1 << 20;

class Transfer {
  private best = 0;
  private received = 0;
  private total: number | undefined;
  private version: Validators = {};
  private startedAt = 0;
  private readonly url: string;
  private readonly sink: Sink;
  private readonly options: DownloadOptions;

  constructor(url: string, sink: Sink, options: DownloadOptions) {
    this.url = url;
    this.sink = sink;
    this.options = options;
  }

  /** Whether the last attempt got clearly further than all before it. */
  get madeProgress(): boolean {
    return this.received >= this.startedAt + progressBytes;
  }

  async attempt(): Promise<Download> {
    this.startedAt = this.best = Math.max(this.best, this.received);
    const response = await get(this.url, this.conditions(), this.options);
    if (response.statusCode === 304) {
      await discard(response);
      if (this.options.known === undefined) throw new ArtifactError("refused", "the server answered 304 unasked");
      return this.result(response, true);
    }
    if (response.statusCode === 206 || response.statusCode === 416) {
      if (!this.continues(response)) {
        await discard(response);
        await this.startOver();
        throw new ArtifactError("unreachable", "the file changed on the server during the transfer");
      }
    } else {
      if (this.received > 0) await this.startOver();
      this.version = validatorsOf(response);
      this.total = numberOf(header(response, "content-length"));
      if (sameVersion(this.options.known, this.version)) {
        await discard(response);
        return this.result(response, true);
      }
    }
    await this.receive(response);
    return this.result(response, false);
  }

  private conditions(): Record<string, string> {
    if (this.received === 0) {
      const { etag, lastModified } = this.options.known ?? {};
      if (etag) return { "if-none-match": etag };
      return lastModified ? { "if-modified-since": lastModified } : {};
    }
    const proof = this.rangeProof();
    return proof === undefined ? {} : { range: `bytes=${this.received}-`, "if-range": proof };
  }

  /** What If-Range may carry: a strong ETag, or else an exact date. */
  private rangeProof(): string | undefined {
    const { etag, lastModified } = this.version;
    if (etag !== undefined) return etag.startsWith("W/") ? undefined : etag;
    return lastModified;
  }

  /** Whether a 206 is the rest of exactly what we have so far. */
  private continues(response: Response): boolean {
    const [, first, , total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header(response, "content-range") ?? "") ?? [];
    if (response.statusCode !== 206 || this.received === 0 || Number(first) !== this.received) return false;
    const whole = total === "*" ? undefined : numberOf(total);
    if (whole !== undefined && this.total !== undefined && whole !== this.total) return false;
    this.total ??= whole;
    const etag = header(response, "etag");
    const lastModified = header(response, "last-modified");
    if (this.version.etag !== undefined) return etag === this.version.etag;
    return this.version.lastModified !== undefined && lastModified === this.version.lastModified;
  }

  private async startOver(): Promise<void> {
    this.received = 0;
    this.total = undefined;
    this.version = {};
    await this.sink.restart();
  }

  private async receive(response: Response): Promise<void> {
    const { onProgress } = this.options;
    const body = response.body[Symbol.asyncIterator]();
    const pace = new Pace(this.options.idleTimeoutMs);
    try {
      for (;;) {
        const { done, value } = await body.next().catch((error: unknown) => {
          throw fromNetworkError(error);
        });
        if (done) break;
        const chunk = value as Buffer;
        this.received += chunk.length;
        pace.count(chunk.length);
        const full = this.sink.write(chunk);
        if (full !== undefined) await full;
        onProgress?.(this.received, this.total);
      }
    } catch (error) {
      response.body.on("error", () => {}).destroy();
      throw error;
    }
    if (this.total !== undefined && this.received !== this.total) {
      throw new ArtifactError("unreachable", `the body ended after ${this.received} of ${this.total} bytes`);
    }
  }

  private result(response: Response, notModified: boolean): Download {
    return {
      ...(notModified ? { ...this.options.known, ...validatorsOf(response) } : this.version),
      notModified,
      receivedBytes: this.received,
      contentType: header(response, "content-type"),
      contentEncoding: header(response, "content-encoding"),
      lengthKnown: this.total !== undefined || header(response, "transfer-encoding") !== undefined,
    };
  }
}

/** A server that sends a few bytes now and then never goes silent; below 64 KiB per idle timeout it counts as stalled. */
class Pace {
  private bytes = 0;
  private since = performance.now();
  private readonly windowMs: number;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  count(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes < 65_536 && performance.now() - this.since <= this.windowMs) return;
    if (this.bytes < 65_536) throw new ArtifactError("unreachable", "the transfer is too slow to come to an end");
    this.bytes = 0;
    this.since = performance.now();
  }
}

function sameVersion(known: Validators | undefined, now: Validators): boolean {
  if (known?.etag !== undefined) return known.etag.replace(/^W\//, "") === now.etag?.replace(/^W\//, "");
  return known?.lastModified !== undefined && now.etag === undefined && known.lastModified === now.lastModified;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
