import { Cache } from "./cache.ts";
import { defaultCacheDir } from "./cacheDir.ts";
import { type ArtifactErrorCode, asArtifactError } from "./errors.ts";
import { briefly, type MeasureOptions, measure } from "./measure.ts";
import { parseSha256, type Sha256 } from "./pins.ts";
import { printable, redactUrl } from "./redact.ts";
import { SourceUrl } from "./url.ts";
import { pickValidators, type Validators } from "./validators.ts";

export interface ProbeSpec {
  title: string;
  urls: readonly string[];
  /** The pin. */
  sha256: string;
  /** Sent as `Authorization: Bearer` to the host of the first URL, and to no other. */
  token?: string | undefined;
  /** What the state knows: the (redacted) mirror and the version that it served. */
  url?: string | undefined;
  validators?: Validators | undefined;
}

export interface Probe {
  /** A sentence when a mirror no longer serves the pinned file; undefined when all is well, or nobody can be asked. */
  drift?: string;
  /** A sentence when nothing can be said, because no mirror answers. */
  unreachable?: string;
  /** The mirror that still serves the pinned file, without secrets, and the version that it serves now. */
  confirmed?: { url: string } & Validators;
}

// What says nothing about the file that a mirror serves.
const silent: ReadonlySet<ArtifactErrorCode> = new Set([
  "unreachable",
  "late",
  "refused",
  "file",
  "setup",
  "disk",
  "pin",
  "internal",
]);

/**
 * Asks the mirrors, in order and up to the first good one, whether they still serve the pinned file. Nothing is
 * transferred while the version is the known one; otherwise the file is hashed anew. Never throws for what it finds.
 */
export async function probe(spec: ProbeSpec, options: MeasureOptions & { cacheDir?: string } = {}): Promise<Probe> {
  const sha256 = parseSha256(spec.sha256);
  const sources = await sourcesOf(sha256, options.cacheDir);
  const drifts: string[] = [];
  const silences: string[] = [];
  const { onWait } = options;
  const say = onWait && ((what: string) => onWait(printable(`${spec.title}: waiting for ${what}.`)));
  for (const text of spec.urls) {
    try {
      const url = SourceUrl.mirror(text, spec.urls, spec.token);
      const source = url.toString();
      const known = spec.url === source ? pickValidators(spec.validators ?? {}) : sources[source];
      const found = await measure(url, { ...briefly, ...options, onWait: say, known, expected: sha256 });
      if (found.notModified || found.sha256 === sha256) {
        const confirmed = { url: source, ...pickValidators(found) };
        const but = `; ${source} still serves it`;
        return { confirmed, ...(drifts.length > 0 ? { drift: sentence(spec.title, drifts) + but } : {}) };
      }
      const size = `${found.sizeBytes} bytes${found.hint ? `, ${found.hint}` : ""}`;
      drifts.push(`upstream replaced ${source}: its sha256 is now ${found.sha256} (${size}), the pin is ${sha256}`);
    } catch (error) {
      options.signal?.throwIfAborted();
      const { code, message } = asArtifactError(error);
      const source = redactUrl(text);
      if (code === "gone") {
        drifts.push(`upstream removed ${source}`);
      } else if (silent.has(code)) {
        silences.push(`${source} ${message}`);
      } else {
        drifts.push(`upstream replaced ${source}: it ${message}`);
      }
    }
  }
  return drifts.length > 0 ? { drift: sentence(spec.title, drifts) } : { unreachable: sentence(spec.title, silences) };
}

/** The versions that the cache knows; none where it cannot be read. */
async function sourcesOf(sha256: Sha256, cacheDir: string | undefined): Promise<Record<string, Validators>> {
  try {
    const entry = await new Cache(cacheDir ?? defaultCacheDir()).find(sha256);
    return typeof entry === "object" ? entry.record.sources : {};
  } catch {
    return {};
  }
}

function sentence(title: string, parts: readonly string[]): string {
  return printable(`${title}: ${parts.join("; and ")}`);
}
