import { rm, stat } from "node:fs/promises";
import { Cache, type CacheEntry, defaultCacheDir } from "./cache.ts";
import { ArtifactError, type ArtifactErrorCode, fromDiskError } from "./errors.ts";
import { pickValidators, type Validators } from "./http.ts";
import { withLock } from "./lock.ts";
import { briefly, type MeasureOptions, measure } from "./measure.ts";
import { parseSha256, type Sha256, urlFault } from "./pins.ts";
import { redactUrl } from "./redact.ts";

/** A file to fetch and the pin that judges it. */
export interface ArtifactSpec {
  /** How people call it; every message begins with it. */
  title: string;
  /** Mirrors in order: https://, http:// or file://. A `.bz2`, `.gz`, `.xz` or `.zst` file is decompressed. */
  urls: readonly string[];
  /** 64 hex digits, of the decompressed file. */
  sha256: string;
  /** Most decompressed bytes that are accepted; 8 GiB when not given. */
  maxBytes?: number | undefined;
}

export interface FetchOptions extends Omit<MeasureOptions, "file" | "known" | "maxBytes"> {
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
  /** The mirror that served it, without secrets. */
  url: string;
  /** In the cache. */
  path: string;
}

/**
 * Makes sure that the file with this pin is in the cache and that upstream still serves it. A cached file costs one
 * conditional request; when no mirror can be asked, it is taken as it is, with a warning.
 * @throws ArtifactError with one sentence: the title, and for each mirror its URL and what was wrong with it.
 */
export async function fetchArtifact(spec: ArtifactSpec, options: FetchOptions = {}): Promise<Artifact> {
  const sha256 = checked(spec);
  const cache = new Cache(options.cacheDir ?? defaultCacheDir());
  const startedAtMs = Date.now();
  const work = () => new Fetch(spec, sha256, cache, options, startedAtMs).run();
  try {
    return await withLock(`${cache.dir}/${sha256}`, work, options.signal);
  } catch (error) {
    if (error instanceof ArtifactError || options.signal?.aborted) throw error;
    throw failure(spec.title, [fromDiskError(error, cache.dir)]);
  }
}

function checked({ title, urls, sha256 }: ArtifactSpec): Sha256 {
  try {
    if (urls.length === 0) throw new ArtifactError("pin", "no URL is given");
    const fault = urls.map(urlFault).find((found) => found !== undefined);
    if (fault !== undefined) throw new ArtifactError("pin", fault);
    return parseSha256(sha256);
  } catch (error) {
    throw failure(title, [error]);
  }
}

// A mirror that answers with other bytes is evidence against the pin; one that gives no bytes is none.
const silent: ReadonlySet<ArtifactErrorCode> = new Set(["unreachable", "gone", "refused", "file"]);

class Fetch {
  private readonly failures: ArtifactError[] = [];
  private readonly spec: ArtifactSpec;
  private readonly sha256: Sha256;
  private readonly cache: Cache;
  private readonly options: FetchOptions;
  private readonly startedAtMs: number;

  constructor(spec: ArtifactSpec, sha256: Sha256, cache: Cache, options: FetchOptions, startedAtMs: number) {
    this.spec = spec;
    this.sha256 = sha256;
    this.cache = cache;
    this.options = options;
    this.startedAtMs = startedAtMs;
  }

  async run(): Promise<Artifact> {
    const entry = await this.cached();
    for (const url of this.spec.urls) {
      const source = redactUrl(url);
      const known = entry?.record.sources[source];
      // Another process confirmed it while we waited for the lock.
      if (entry && known && entry.record.confirmedAtMs > this.startedAtMs) return this.artifact(entry, source);
      try {
        const served = await this.from(url, entry);
        if (this.failures.length > 0) this.warn(`it came from ${source}, because ${list(this.failures)}`);
        return this.artifact(served, source);
      } catch (error) {
        if (!(error instanceof ArtifactError)) throw error;
        const verb = error.code === "disk" ? "cannot be stored: " : "";
        this.failures.push(new ArtifactError(error.code, `${source} ${verb}${error.message}`, { cause: error }));
        // The next mirror would meet the same disk.
        if (error.code === "disk") break;
      }
    }
    if (entry === undefined || this.failures.some(({ code }) => !silent.has(code)))
      throw failure(this.spec.title, this.failures);
    this.warn(`the verified file in the cache is used, because ${list(this.failures)}`);
    return this.artifact(entry, Object.keys(entry.record.sources)[0] ?? redactUrl(this.spec.urls[0] ?? ""));
  }

  private async cached(): Promise<CacheEntry | undefined> {
    const rehash = this.options.rehash ?? process.env.FACECRAFT_REHASH === "1";
    const found = await this.cache.find(this.sha256, { rehash });
    if (found !== "corrupt") return found;
    this.warn(`the cached file ${this.cache.path(this.sha256)} was damaged on disk; it is fetched again`);
    await this.cache.remove(this.sha256);
    return undefined;
  }

  /** One mirror: confirms the entry, or downloads and verifies. */
  private async from(url: string, entry: CacheEntry | undefined): Promise<CacheEntry> {
    const source = redactUrl(url);
    let part: string | undefined;
    try {
      await this.cache.sweep(this.sha256);
      if (entry === undefined) part = await this.cache.partFile(this.sha256);
      const result = await measure(url, {
        ...(entry === undefined ? {} : briefly),
        ...this.options,
        file: part,
        known: entry?.record.sources[source],
        maxBytes: this.limit(entry),
      });
      if (!result.notModified && result.sha256 !== this.sha256) throw mismatch(this.sha256, result);
      const confirmed = {
        sources: { ...entry?.record.sources, [source]: pickValidators(result) },
        confirmedAtMs: Date.now(),
        ...(result.notModified ? {} : { downloadSha256: result.downloadSha256 }),
      };
      if (part === undefined) return await this.cache.confirm(this.sha256, entry as CacheEntry, confirmed);
      return await this.cache.adopt(this.sha256, part, confirmed);
    } catch (error) {
      throw fromDiskError(error, this.cache.dir);
    } finally {
      if (part !== undefined) await rm(part, { force: true }).catch(() => {});
    }
  }

  /** A replaced file may be somewhat larger, and is then reported with its hash; a bomb is not hashed to its end. */
  private limit(entry: CacheEntry | undefined): number | undefined {
    const { maxBytes } = this.spec;
    return entry === undefined ? maxBytes : Math.min(maxBytes ?? Infinity, 2 * entry.record.sizeBytes + (64 << 20));
  }

  private async artifact(entry: CacheEntry, url: string): Promise<Artifact> {
    const { size } = await stat(entry.path);
    const { downloadSha256, sources } = entry.record;
    return {
      sha256: this.sha256,
      ...(downloadSha256 ? { downloadSha256 } : {}),
      sizeBytes: size,
      url,
      ...sources[url],
      path: entry.path,
    };
  }

  private warn(text: string): void {
    const say = this.options.warn ?? ((sentence) => console.warn(sentence));
    say(`${this.spec.title}: ${text}.`);
  }
}

function mismatch(expected: string, { sha256, sizeBytes, hint }: { sha256: string; sizeBytes: number; hint?: string }) {
  const what = `serves a file with the wrong sha256: expected ${expected}, actual ${sha256}, size ${sizeBytes} bytes`;
  return new ArtifactError("mismatch", hint ? `${what} (${hint})` : what);
}

function failure(title: string, causes: readonly unknown[]): ArtifactError {
  const [first] = causes;
  const code = causes.find((cause) => cause instanceof ArtifactError && cause.code === "mismatch") ?? first;
  const text = causes.map((cause) => (cause instanceof Error ? cause.message : String(cause))).join("; and ");
  return new ArtifactError(code instanceof ArtifactError ? code.code : "disk", `${title}: ${text}.`, { cause: first });
}

function list(failures: readonly ArtifactError[]): string {
  return failures.map(({ message }) => message).join("; and ");
}
