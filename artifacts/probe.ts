import { Cache, defaultCacheDir } from "./cache.ts";
import { ArtifactError } from "./errors.ts";
import { pickValidators, type Validators } from "./http.ts";
import { briefly, type MeasureOptions, measure } from "./measure.ts";
import { parseSha256 } from "./pins.ts";
import { redactUrl } from "./redact.ts";

export interface ProbeSpec {
  title: string;
  urls: readonly string[];
  /** The pin. */
  sha256: string;
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

/**
 * Asks the mirrors, in order and up to the first good one, whether they still serve the pinned file. Nothing is
 * transferred while the version is the known one; otherwise the file is hashed anew. Never throws for what it finds.
 */
export async function probe(spec: ProbeSpec, options: MeasureOptions & { cacheDir?: string } = {}): Promise<Probe> {
  const sha256 = parseSha256(spec.sha256);
  const entry = await new Cache(options.cacheDir ?? defaultCacheDir()).find(sha256).catch(() => undefined);
  const sources = typeof entry === "object" ? entry.record.sources : {};
  const drifts: string[] = [];
  const silent: string[] = [];
  for (const url of spec.urls) {
    const source = redactUrl(url);
    const known = spec.url === source ? spec.validators : sources[source];
    try {
      const found = await measure(url, { ...briefly, ...options, known });
      if (found.notModified || found.sha256 === sha256) {
        const confirmed = { url: source, ...pickValidators(found) };
        const but = `; ${source} still serves it`;
        return { confirmed, ...(drifts.length > 0 ? { drift: sentence(spec.title, drifts) + but } : {}) };
      }
      const size = `${found.sizeBytes} bytes${found.hint ? `, ${found.hint}` : ""}`;
      drifts.push(`upstream replaced ${source}: its sha256 is now ${found.sha256} (${size}), the pin is ${sha256}`);
    } catch (error) {
      if (!(error instanceof ArtifactError)) throw error;
      if (error.code === "gone") drifts.push(`upstream removed ${source}`);
      else if (error.code === "unreachable" || error.code === "refused" || error.code === "file")
        silent.push(`${source} ${error.message}`);
      else drifts.push(`upstream replaced ${source}: it ${error.message}`);
    }
  }
  if (drifts.length > 0) return { drift: sentence(spec.title, drifts) };
  return { unreachable: sentence(spec.title, silent) };
}

function sentence(title: string, parts: readonly string[]): string {
  return `${title}: ${parts.join("; and ")}`;
}
