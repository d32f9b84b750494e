import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { formatOf } from "./decompress.ts";
import { type Download, download } from "./download.ts";
import { ArtifactError, errorCode } from "./errors.ts";
import { pickValidators, type Validators } from "./http.ts";
import { type Hashed, HashingSink } from "./sink.ts";

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
  /** Longest silence of a server in milliseconds. Default 60 000. */
  idleTimeoutMs?: number | undefined;
  /** Attempts after the first, counted anew whenever the transfer gets further. Default 5. */
  retries?: number | undefined;
  /** First pause between attempts in milliseconds. Default 500. */
  retryDelayMs?: number | undefined;
  /** Where the decoded bytes go; without it they are only hashed. */
  file?: string | undefined;
  /** The version we have: when it is still served, no byte is transferred. */
  known?: Validators | undefined;
  /** Most decoded bytes. Default 8 GiB. */
  maxBytes?: number | undefined;
}

export type Measured =
  | ({ notModified: true } & Validators)
  | ({ notModified: false; hint?: string } & Validators & Hashed);

/** For questions that need no answer: with a verified file at hand, waiting long for a server that is away helps nobody. */
export const briefly = { retries: 1, idleTimeoutMs: 15_000 } as const satisfies MeasureOptions;

const defaultMaxBytes = 8 * 2 ** 30;

/**
 * Hashes what a URL serves, decoded by its suffix, in one pass and constant memory. It judges nothing: comparing with a
 * pin is the caller's part. @throws ArtifactError whose message continues a sentence that begins with the URL.
 */
export async function measure(url: string, options: MeasureOptions = {}): Promise<Measured> {
  const { file, maxBytes = defaultMaxBytes } = options;
  const sink = await HashingSink.open({ format: formatOf(url), file, maxBytes });
  try {
    const transferred = await transfer(url, sink, options);
    const validators = pickValidators(transferred);
    if (transferred.notModified) return { notModified: true, ...validators };
    const hint = hintOf(sink.start, transferred);
    return { notModified: false, ...(hint ? { hint } : {}), ...validators, ...(await sink.finish()) };
  } catch (error) {
    const hint = error instanceof ArtifactError && error.code === "corrupt" ? hintOf(sink.start, {}) : undefined;
    if (error instanceof ArtifactError) {
      throw new ArtifactError(error.code, phrase(error, hint), { cause: error });
    }
    throw error;
  } finally {
    await sink.abandon();
  }
}

function phrase({ code, message }: ArtifactError, hint: string | undefined): string {
  const verb = code === "corrupt" || code === "too-large" ? "cannot be used" : "cannot be fetched";
  return `${verb}: ${message}${hint ? ` (${hint})` : ""}`;
}

async function transfer(url: string, sink: HashingSink, options: MeasureOptions): Promise<Partial<Download>> {
  if (new URL(url).protocol === "file:") return readLocal(url, sink, options);
  const { onProgress } = options;
  return download(url, sink, {
    caBundle: options.caBundle,
    signal: options.signal,
    known: options.known,
    idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
    retries: options.retries ?? 5,
    retryDelayMs: options.retryDelayMs ?? 500,
    onRetry: options.onRetry,
    onProgress: onProgress && ((receivedBytes, totalBytes) => onProgress({ receivedBytes, totalBytes })),
  });
}

/** A local file has no ETag; its size and times, to the nanosecond, are as good. */
async function readLocal(url: string, sink: HashingSink, options: MeasureOptions): Promise<Partial<Download>> {
  const path = fileURLToPath(url);
  try {
    const { size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    const etag = `"${size}-${mtimeNs}-${ctimeNs}"`;
    if (options.known?.etag === etag) return { notModified: true, etag };
    let receivedBytes = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal: options.signal })) {
      receivedBytes += (chunk as Buffer).length;
      const full = sink.write(chunk as Buffer);
      if (full !== undefined) await full;
      options.onProgress?.({ receivedBytes, totalBytes: Number(size) });
    }
    return { notModified: false, etag, lengthKnown: true };
  } catch (error) {
    const { syscall, path: at } = error as NodeJS.ErrnoException;
    if (error instanceof ArtifactError || syscall === undefined || (at !== undefined && at !== path)) throw error;
    if (syscall === "write" || options.signal?.aborted) throw error;
    const code = errorCode(error);
    if (code === "ENOENT") throw new ArtifactError("gone", "there is no such file");
    throw new ArtifactError("file", `the file cannot be read (${code})`);
  }
}

/** What the bytes look like, when they are not the ones that were asked for. */
function hintOf(start: Buffer, { contentType, contentEncoding, lengthKnown }: Partial<Download>): string | undefined {
  const text = start.toString("latin1").trimStart().toLowerCase();
  if (text.startsWith("<!doctype html") || text.startsWith("<html") || contentType?.startsWith("text/html")) {
    return "it is an HTML page, perhaps of a login or an error";
  }
  if (text.startsWith("version https://git-lfs")) return "it is a Git LFS pointer, not the file itself";
  if (contentEncoding && contentEncoding !== "identity") return `the server encoded it with ${contentEncoding}`;
  return lengthKnown === false ? "the server did not say how long it is, so it may be cut short" : undefined;
}
