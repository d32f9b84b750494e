import type { Response } from "./http.ts";
import { header } from "./http.ts";

/** What names one version of a file on a server. */
export interface Validators {
  etag?: string;
  lastModified?: string;
}

/**
 * ETag, and Last-Modified where it is exact: a date in seconds cannot tell two versions of one second apart, so it
 * counts only once the server's clock has moved on.
 */
export function validatorsOf(response: Response): Validators {
  const lastModified = header(response, "last-modified");
  const age = Date.parse(header(response, "date") ?? "") - Date.parse(lastModified ?? "");
  return pickValidators({ etag: header(response, "etag"), lastModified: age >= 2000 ? lastModified : undefined });
}

/** The validators of an object of any origin, and nothing else of it: only what can stand in a header. */
export function pickValidators({ etag, lastModified }: { etag?: unknown; lastModified?: unknown }): Validators {
  return { ...(isSendable(etag) ? { etag } : {}), ...(isSendable(lastModified) ? { lastModified } : {}) };
}

/** Whether the server still has the known version: equal ETags, weak or not, or equal dates where it has no ETag. */
export function sameVersion(known: Validators | undefined, now: Validators): boolean {
  if (known?.etag !== undefined) {
    return opaque(known.etag) === opaque(now.etag);
  }
  return known?.lastModified !== undefined && now.etag === undefined && known.lastModified === now.lastModified;
}

function opaque(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, "");
}

function isSendable(value: unknown): value is string {
  return typeof value === "string" && /^[\x20-\x7e]{1,1000}$/.test(value) && value === value.trim();
}
