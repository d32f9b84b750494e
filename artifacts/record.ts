import { pickValidators, type Validators } from "./validators.ts";

/** What is known of a verified file, kept beside it. */
export interface CacheRecord {
  sizeBytes: number;
  /** What the file looked like when its bytes were last hashed; anything else means hashing again. */
  mtimeMs: number;
  ctimeMs: number;
  verifiedAtMs: number;
  /** When bytes from upstream, or its word that nothing changed, last confirmed it. */
  confirmedAtMs: number;
  downloadSha256?: string;
  /** By redacted URL, the last confirmed at the end: the version that was found to be the pinned file. */
  sources: Record<string, Validators>;
}

/**
 * Reads a record; undefined when it is none. Anybody may have written it, so nothing of it is taken on trust: what cannot
 * have been written here, an ETag that no header can carry or a time that is still to come, counts as not there.
 */
export function parseRecord(text: string, nowMs = Date.now()): CacheRecord | undefined {
  const value = json(text);
  const [sizeBytes, mtimeMs, ctimeMs] = [value.sizeBytes, value.mtimeMs, value.ctimeMs];
  if (!isNumber(sizeBytes) || !isNumber(mtimeMs) || !isNumber(ctimeMs)) {
    return undefined;
  }
  const past = (time: unknown) => (isNumber(time) && time <= nowMs ? time : 0);
  const { downloadSha256 } = value;
  const sources = Object.entries(record(value.sources)).flatMap(([url, told]) =>
    url !== "__proto__" && isRecord(told) ? [[url, pickValidators(told)] as const] : [],
  );
  return {
    sizeBytes,
    mtimeMs,
    ctimeMs,
    verifiedAtMs: past(value.verifiedAtMs),
    confirmedAtMs: past(value.confirmedAtMs),
    ...(typeof downloadSha256 === "string" && /^[0-9a-f]{64}$/.test(downloadSha256) ? { downloadSha256 } : {}),
    sources: Object.fromEntries(sources),
  };
}

function json(text: string): Record<string, unknown> {
  try {
    return record(JSON.parse(text));
  } catch {
    return {};
  }
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
