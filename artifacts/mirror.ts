import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cache, CacheEntry } from "./cache.ts";
import { ArtifactError } from "./errors.ts";
import { briefly, type Measured, type MeasureOptions, measure } from "./measure.ts";
import type { Sha256 } from "./pins.ts";
import type { SourceUrl } from "./url.ts";
import { pickValidators } from "./validators.ts";

export interface Question {
  /** The pin. */
  sha256: Sha256;
  maxBytes: number | undefined;
  options: MeasureOptions;
  /** Runs what works on the cache. */
  onDisk: <T>(work: () => Promise<T>) => Promise<T>;
}

// How long a part file may take to go away.
const farewellMs = 2000;

/**
 * Asks one mirror: confirms the entry, or downloads and verifies the file. @throws ArtifactError whose message continues a
 * sentence that begins with the URL.
 */
export async function askMirror(
  url: SourceUrl,
  cache: Cache,
  entry: CacheEntry | undefined,
  { sha256, maxBytes, options, onDisk }: Question,
): Promise<CacheEntry> {
  const source = url.toString();
  await onDisk(() => cache.sweep(sha256));
  const part = entry === undefined ? await onDisk(() => cache.partFile(sha256)) : undefined;
  try {
    const result = await measure(url, {
      ...(entry === undefined ? {} : briefly),
      ...options,
      file: part,
      known: entry?.record.sources[source],
      maxBytes: entry === undefined ? maxBytes : generous(entry, maxBytes),
      expected: sha256,
    });
    if (!result.notModified && result.sha256 !== sha256) {
      throw mismatch(sha256, result);
    }
    const { [source]: _, ...others } = entry?.record.sources ?? {};
    const confirmed = {
      sources: { ...others, [source]: pickValidators(result) },
      confirmedAtMs: Date.now(),
      ...(result.notModified ? {} : { downloadSha256: result.downloadSha256 }),
    };
    return await onDisk(() =>
      part === undefined ? cache.confirm(sha256, entry as CacheEntry, confirmed) : cache.adopt(sha256, part, confirmed),
    );
  } finally {
    if (part !== undefined) {
      await Promise.race([rm(part, { force: true }).catch(() => {}), sleep(farewellMs, undefined, { ref: false })]);
    }
  }
}

/** A replaced file may be somewhat larger, and is then reported with its hash; a bomb is not hashed to its end. */
function generous(entry: CacheEntry, maxBytes: number | undefined): number {
  return Math.min(maxBytes ?? Infinity, 2 * entry.record.sizeBytes + (64 << 20));
}

function mismatch(expected: string, { sha256, sizeBytes, hint }: Measured & { notModified: false }): ArtifactError {
  const what = `serves a file with the wrong sha256: expected ${expected}, actual ${sha256}, size ${sizeBytes} bytes`;
  return new ArtifactError("mismatch", hint ? `${what} (${hint})` : what);
}
