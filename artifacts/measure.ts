import { Deadline } from "./deadline.ts";
import { formatOf } from "./decompress.ts";
import { download } from "./download.ts";
import { ArtifactError, type ArtifactErrorCode, asArtifactError } from "./errors.ts";
import { hintOf } from "./hint.ts";
import { readLocal } from "./local.ts";
import type { Hashed } from "./pass.ts";
import { HashingSink } from "./sink.ts";
import { formatBytes } from "./text.ts";
import type { Download } from "./transfer.ts";
import { SourceUrl } from "./url.ts";
import { pickValidators, type Validators } from "./validators.ts";

export interface Progress {
  /** Bytes of the body as served. */
  receivedBytes: number;
  totalBytes?: number | undefined;
}

export interface MeasureOptions {
  /** A PEM file whose certificates are trusted beside the system's. */
  caBundle?: string | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Told each time a transfer is taken up again. */
  onRetry?: ((cause: string) => void) | undefined;
  /** Told every ten seconds what is being waited for. */
  onWait?: ((waitingFor: string) => void) | undefined;
  /** How often onWait is told, in milliseconds. */
  waitEveryMs?: number | undefined;
  /** Longest silence of a server in milliseconds. Default 30 000. */
  idleTimeoutMs?: number | undefined;
  /** Attempts after the first, counted anew whenever the transfer gets further. Default 5. */
  retries?: number | undefined;
  /** First pause between attempts in milliseconds. Default 500. */
  retryDelayMs?: number | undefined;
  /** Longest time that a server may ask us to wait before we ask again, in milliseconds. Default 5 minutes. */
  longestWaitMs?: number | undefined;
  /** The whole may take this long, in milliseconds, and what the bytes that came need at the slowest speed. Default 5 minutes. */
  graceMs?: number | undefined;
  /** The slowest speed that a transfer may have on the whole, in bytes per second. Default 32 KiB. */
  slowestSpeed?: number | undefined;
  /** Where the decoded bytes go; without it they are only hashed. */
  file?: string | undefined;
  /** The version we have: when it is still served, no byte is transferred. */
  known?: Validators | undefined;
  /** False hashes the bytes as they are served, whatever the URL's suffix. */
  decompress?: boolean | undefined;
  /** Most decoded bytes. Default 8 GiB. */
  maxBytes?: number | undefined;
  /**
   * The sha256 that is hoped for. It judges nothing here; but what was put together from the parts of a broken transfer and has
   * another hash is fetched once more as a whole, before that hash is told.
   */
  expected?: string | undefined;
}

export type Measured =
  | ({ notModified: true } & Validators)
  | ({ notModified: false; hint?: string } & Validators & Hashed);

/** For questions that need no answer: with a verified file at hand, waiting long for a server that is away helps nobody. */
export const briefly = {
  retries: 1,
  idleTimeoutMs: 15_000,
  longestWaitMs: 5000,
  graceMs: 60_000,
  slowestSpeed: 256 << 10,
} as const satisfies MeasureOptions;

const usually = {
  retries: 5,
  retryDelayMs: 500,
  idleTimeoutMs: 30_000,
  longestWaitMs: 5 * 60_000,
  graceMs: 5 * 60_000,
  slowestSpeed: 32 << 10,
  maxBytes: 8 * 2 ** 30,
} as const satisfies MeasureOptions;

/**
 * Hashes what a URL serves, decoded by its suffix, in one pass and constant memory. It judges nothing: comparing with a
 * pin is the caller's part. @throws ArtifactError whose message continues a sentence that begins with the URL; or the reason
 * of the signal.
 */
export async function measure(source: string | SourceUrl, options: MeasureOptions = {}): Promise<Measured> {
  options.signal?.throwIfAborted();
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const measuring = new Measuring({ ...usually, ...given } as Settings);
  try {
    return await measuring.run(typeof source === "string" ? SourceUrl.parse(source) : source);
  } catch (error) {
    if (options.signal?.aborted) {
      throw options.signal.reason;
    }
    throw phrase(asArtifactError(error), measuring.hint);
  }
}

type Settings = Omit<MeasureOptions, keyof typeof usually> & Record<keyof typeof usually, number>;

class Measuring {
  readonly #options: Settings;
  #sink: HashingSink | undefined;
  #resumed = false;
  // What came, which decides how long it may take; what a server announces costs it nothing.
  #bytesBefore = 0;
  #bytes = 0;

  constructor(options: Settings) {
    this.#options = options;
  }

  /** What a stream that did not decode looks like. */
  get hint(): string | undefined {
    return this.#sink && hintOf(this.#sink.start, {});
  }

  async run(url: SourceUrl): Promise<Measured> {
    const { signal, onWait, waitEveryMs } = this.#options;
    try {
      return await Deadline.over(
        {
          what: () => url.toString(),
          signal,
          allowedMs: () => this.#allowedMs,
          late: () => this.#late(),
          say: onWait,
          sayEveryMs: waitEveryMs,
        },
        (deadline) => this.#inPartsOrWhole(url, deadline),
      );
    } finally {
      // Here and not where it was opened: what the deadline left behind may never get there.
      await this.#sink?.abandon();
    }
  }

  async #inPartsOrWhole(url: SourceUrl, deadline: Deadline): Promise<Measured> {
    try {
      const found = await this.#once(url, true, deadline);
      if (found.notModified || !this.#resumed || found.sha256 === this.#options.expected) {
        return found;
      }
    } catch (error) {
      if (!this.#resumed || !(error instanceof ArtifactError) || error.code !== "corrupt") {
        throw error;
      }
    }
    await this.#sink?.abandon();
    this.#options.onRetry?.("the parts do not make the expected file; it is fetched as a whole");
    this.#bytesBefore = this.#bytes;
    this.#bytes = 0;
    return this.#once(url, false, deadline);
  }

  async #once(url: SourceUrl, resume: boolean, deadline: Deadline): Promise<Measured> {
    const { file, maxBytes } = this.#options;
    const sink = await HashingSink.open({
      format: this.#options.decompress === false ? "none" : formatOf(url),
      file,
      maxBytes,
    });
    this.#sink = sink;
    const transferred = await this.#transfer(url, sink, resume, deadline);
    const validators = pickValidators(transferred);
    if (transferred.notModified) {
      return { notModified: true, ...validators };
    }
    const hint = hintOf(sink.start, transferred);
    deadline.waitingFor(() => `the rest of ${url} to be decoded and stored`);
    return { notModified: false, ...(hint ? { hint } : {}), ...validators, ...(await sink.finish()) };
  }

  #transfer(url: SourceUrl, sink: HashingSink, resume: boolean, deadline: Deadline): Promise<Partial<Download>> {
    const onProgress = (receivedBytes: number, totalBytes: number | undefined) => {
      this.#bytes = Math.max(receivedBytes, this.#bytes);
      if (receivedBytes > 0) {
        this.#options.onProgress?.({ receivedBytes, totalBytes });
      }
    };
    const options = { ...this.#options, resume, onProgress };
    if (url.protocol === "file:") {
      return readLocal(url, sink, options, deadline);
    }
    return download(url, sink, options, deadline, () => {
      this.#resumed = true;
    });
  }

  get #allowedMs(): number {
    const { graceMs, slowestSpeed } = this.#options;
    return graceMs + ((this.#bytesBefore + this.#bytes) / slowestSpeed) * 1000;
  }

  #late(): ArtifactError {
    const seconds = Math.round(this.#allowedMs / 1000);
    const bytes = this.#bytesBefore + this.#bytes;
    const size = bytes > 0 ? ` for the ${formatBytes(bytes)} that came` : "";
    return new ArtifactError("late", `it was not there after ${seconds} s, which is the limit${size}`);
  }
}

const verbs: Partial<Record<ArtifactErrorCode, string>> = {
  corrupt: "cannot be used",
  "too-large": "cannot be used",
  disk: "cannot be stored",
};

function phrase({ code, message, answered }: ArtifactError, hint: string | undefined): ArtifactError {
  const why = code === "corrupt" && hint ? ` (${hint})` : "";
  return new ArtifactError(code, `${verbs[code] ?? "cannot be fetched"}: ${message}${why}`, { answered });
}
