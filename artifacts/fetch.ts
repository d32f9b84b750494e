import { stat } from "node:fs/promises";
import { Cache, type CacheEntry } from "./cache.ts";
import { defaultCacheDir } from "./cacheDir.ts";
import { ArtifactError, type ArtifactErrorCode, asArtifactError } from "./errors.ts";
import { lockScope, withLock } from "./lock.ts";
import type { MeasureOptions } from "./measure.ts";
import { askMirror } from "./mirror.ts";
import { onDisk } from "./onDisk.ts";
import { parseSha256, type Sha256, urlFault } from "./pins.ts";
import { printable } from "./redact.ts";
import { SourceUrl } from "./url.ts";
import type { Validators } from "./validators.ts";

/** A file to fetch and the pin that judges it. */
export interface ArtifactSpec {
  /** How people call it; every message begins with it. */
  title: string;
  /** Mirrors in order: https://, http:// or file://. A `.bz2`, `.gz`, `.xz` or `.zst` file is decompressed. */
  urls: readonly string[];
  /** 64 hex digits, of the decompressed file. */
  sha256: string;
  /** Sent as `Authorization: Bearer` to the host of the first URL, and to no other. */
  token?: string | undefined;
  /** False for an archive that is wanted as it is served, whatever its suffix: the pin is then of those bytes. */
  decompress?: boolean | undefined;
  /** Most decompressed bytes that are accepted; 8 GiB when not given. */
  maxBytes?: number | undefined;
}

export interface FetchOptions extends Omit<MeasureOptions, "file" | "known" | "maxBytes" | "expected" | "decompress"> {
  /** Default: FACECRAFT_CACHE, else the user's cache folder. */
  cacheDir?: string | undefined;
  /** Hash a cached file again even when nothing suggests that it changed. FACECRAFT_REHASH=1 does the same. */
  rehash?: boolean | undefined;
  /** Takes what a person should know although the fetch went on. Default: one line on stderr. */
  warn?: ((sentence: string) => void) | undefined;
}

/** A verified file. */
export interface Artifact extends Validators {
  sha256: string;
  /** Of the bytes as served: differs from `sha256` where they were compressed. */
  downloadSha256?: string;
  sizeBytes: number;
  /** The mirror that served it, without secrets; empty where a cached file is used of which nobody knows that any more. */
  url: string;
  /** In the cache. */
  path: string;
  /** Whether a mirror was found to serve it; false when none could be asked, and the cached file was taken. */
  confirmed: boolean;
}

// How long another process that fetches the same file is waited for, however busy it says it is.
const longestLockMs = 60 * 60_000;

/**
 * Makes sure that the file with this pin is in the cache and that upstream still serves it. A cached file costs one
 * conditional request; when no mirror can be asked, it is taken as it is, with a warning.
 * @throws ArtifactError with one sentence: the title, and for each mirror its URL and what was wrong with it; or the reason of
 * the signal.
 */
export async function fetchArtifact(spec: ArtifactSpec, options: FetchOptions = {}): Promise<Artifact> {
  try {
    return await new Fetch(spec, options).run();
  } catch (error) {
    if (options.signal?.aborted) {
      throw options.signal.reason;
    }
    const causes = error instanceof Failures ? error.causes : [asArtifactError(error)];
    const telling = causes.find(({ code }) => code === "mismatch") ?? causes[0];
    const copy = error instanceof Failures ? error.copy : undefined;
    const remedy = copy === undefined ? "" : `; a verified copy, for a mirror of your own, is ${copy}`;
    throw new ArtifactError(telling?.code ?? "internal", `${spec.title}: ${list(causes)}${remedy}.`);
  }
}

/** What was wrong with each mirror. */
class Failures extends Error {
  readonly causes: readonly ArtifactError[];
  /** A verified file, for whoever wants to serve what upstream no longer has. */
  readonly copy: string | undefined;

  constructor(causes: readonly ArtifactError[], copy?: string) {
    super();
    this.causes = causes;
    this.copy = copy;
  }
}

// A mirror that answers with other bytes, or that the file is gone, is an answer; what gives none can be taken from the cache.
const silent: ReadonlySet<ArtifactErrorCode> = new Set(["unreachable", "late", "refused", "file", "setup"]);

class Fetch {
  readonly #spec: ArtifactSpec;
  readonly #urls: readonly SourceUrl[];
  readonly #sha256: Sha256;
  readonly #dir: string;
  readonly #options: FetchOptions;

  constructor(spec: ArtifactSpec, options: FetchOptions) {
    const { urls, sha256 } = spec;
    if (!Array.isArray(urls) || urls.length === 0) {
      throw new ArtifactError("pin", "no URL is given");
    }
    const fault = urls.map(urlFault).find((found) => found !== undefined);
    if (fault !== undefined) {
      throw new ArtifactError("pin", fault);
    }
    this.#spec = spec;
    this.#urls = urls.map((url) => SourceUrl.mirror(url, urls, spec.token));
    this.#sha256 = parseSha256(sha256);
    this.#dir = options.cacheDir ?? defaultCacheDir();
    this.#options = options;
  }

  async run(): Promise<Artifact> {
    const startedAtMs = Date.now();
    const { signal, idleTimeoutMs = 30_000, waitEveryMs = 10_000 } = this.#options;
    const folder = await this.#onDisk(() => new Cache(this.#dir).identity());
    const waiting = setInterval(() => this.#say("another process that fetches it"), waitEveryMs);
    try {
      return await withLock(
        `cache ${folder} ${this.#sha256}`,
        ({ held, waited }) => {
          clearInterval(waiting);
          return this.#fetch(new Cache(this.#dir, held ? lockScope : undefined), waited ? startedAtMs : undefined);
        },
        { signal, patienceMs: idleTimeoutMs, longestMs: longestLockMs },
      );
    } finally {
      clearInterval(waiting);
    }
  }

  /** `waitedSinceMs` is since when another process had the turn. */
  async #fetch(cache: Cache, waitedSinceMs: number | undefined): Promise<Artifact> {
    const entry = await this.#cached(cache);
    const failures: ArtifactError[] = [];
    for (const url of this.#urls) {
      const source = url.toString();
      if (entry?.record.sources[source] !== undefined && entry.record.confirmedAtMs >= (waitedSinceMs ?? Infinity)) {
        // The other one asked upstream while we waited.
        return this.#artifact(entry, source, true);
      }
      try {
        const served = await askMirror(url, cache, entry, {
          sha256: this.#sha256,
          maxBytes: this.#spec.maxBytes,
          options: { ...this.#options, decompress: this.#spec.decompress, onWait: (what) => this.#say(what) },
          onDisk: (work) => this.#onDisk(work),
        });
        if (failures.length > 0) {
          this.#warn(`it came from ${source}, because ${list(failures)}`);
        }
        return await this.#artifact(served, source, true);
      } catch (error) {
        this.#options.signal?.throwIfAborted();
        const { code, message } = asArtifactError(error);
        failures.push(new ArtifactError(code, `${source} ${message}`));
        if (code === "disk") {
          // The next mirror would meet the same disk.
          break;
        }
      }
    }
    if (entry === undefined || failures.some(({ code }) => !silent.has(code))) {
      const isGone = failures.some(({ code }) => code === "gone");
      throw new Failures(failures, isGone ? entry?.path : undefined);
    }
    this.#warn(`the verified file in the cache is used, because ${list(failures)}`);
    return this.#artifact(entry, this.#servedBy(entry), false);
  }

  async #cached(cache: Cache): Promise<CacheEntry | undefined> {
    const rehash = this.#options.rehash ?? process.env.FACECRAFT_REHASH === "1";
    const found = await this.#onDisk(() => cache.find(this.#sha256, { rehash }));
    if (found !== "corrupt") {
      return found;
    }
    this.#warn(`the cached file ${cache.path(this.#sha256)} was damaged on disk; it is fetched again`);
    await this.#onDisk(() => cache.remove(this.#sha256));
    return undefined;
  }

  /** The mirror that last served the entry, of those that are asked if one of them did. */
  #servedBy(entry: CacheEntry): string {
    const sources = Object.keys(entry.record.sources).reverse();
    const asked = new Set(this.#urls.map(String));
    return sources.find((source) => asked.has(source)) ?? sources[0] ?? "";
  }

  async #artifact(entry: CacheEntry, url: string, confirmed: boolean): Promise<Artifact> {
    const { size } = await this.#onDisk(() => stat(entry.path));
    const { downloadSha256, sources } = entry.record;
    return {
      sha256: this.#sha256,
      ...(downloadSha256 ? { downloadSha256 } : {}),
      sizeBytes: size,
      url,
      ...sources[url],
      path: entry.path,
      confirmed,
    };
  }

  #onDisk<T>(work: () => Promise<T>): Promise<T> {
    const { signal, waitEveryMs } = this.#options;
    return onDisk(this.#dir, { signal, waitEveryMs, say: (what) => this.#say(what) }, work);
  }

  #say(waitingFor: string): void {
    this.#options.onWait?.(printable(`${this.#spec.title}: waiting for ${waitingFor}.`));
  }

  #warn(text: string): void {
    const say = this.#options.warn ?? ((sentence) => console.warn(sentence));
    say(printable(`${this.#spec.title}: ${text}.`));
  }
}

function list(failures: readonly ArtifactError[]): string {
  return failures.map(({ message }) => message).join("; and ");
}
