import { header, type Response } from "./http.ts";
import type { Validators } from "./validators.ts";

/** What If-Range may carry of a version: a strong ETag, or else an exact date. */
export function rangeProof({ etag, lastModified }: Validators): string | undefined {
  if (etag !== undefined) {
    return etag.startsWith("W/") ? undefined : etag;
  }
  return lastModified;
}

/**
 * Where the part that a 206 brings ends, and how long the whole is; undefined unless it goes on exactly after the bytes that
 * were received, of the same version and the same length.
 */
export function partOf(
  response: Response,
  received: number,
  knownTotal: number | undefined,
  version: Validators,
): { end: number; total: number | undefined } | undefined {
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header(response, "content-range") ?? "");
  const [first, last, whole] = (range?.slice(1) ?? []).map(numberOf);
  if (response.statusCode !== 206 || first !== received || last === undefined || last < first) {
    return undefined;
  }
  const total = knownTotal ?? whole;
  if ((whole ?? total) !== total || last >= (total ?? Infinity)) {
    return undefined;
  }
  const [told, known] =
    version.etag === undefined
      ? [header(response, "last-modified"), version.lastModified]
      : [header(response, "etag"), version.etag];
  return told !== undefined && told === known ? { end: last + 1, total } : undefined;
}

export function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
