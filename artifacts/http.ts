import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";
import { type Dispatcher, EnvHttpProxyAgent, request } from "undici";
import { ArtifactError, errorCode, fromNetworkError } from "./errors.ts";
import { redactUrl } from "./redact.ts";

/** What names one version of a file on a server. */
export interface Validators {
  etag?: string;
  lastModified?: string;
}

export type Response = Dispatcher.ResponseData;

export interface HttpOptions {
  /** A PEM file whose certificates are trusted beside the system's. */
  caBundle?: string | undefined;
  /** Longest silence, in milliseconds, before the connection counts as stalled. */
  idleTimeoutMs: number;
  signal?: AbortSignal | undefined;
}

const maxRedirects = 10;
// Waiting longer than this for one server is no retry any more; the message names the time instead.
const longestWait = 5 * 60_000;
const agents = new Map<string, EnvHttpProxyAgent>();

/** One agent per CA bundle and timeout: connections are reused, and HTTP(S)_PROXY and NO_PROXY are obeyed. */
function agentFor({ caBundle, idleTimeoutMs }: HttpOptions, { protocol }: URL): EnvHttpProxyAgent {
  const { http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY, no_proxy, NO_PROXY, SSL_CERT_FILE } = process.env;
  const proxies = [http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY, no_proxy, NO_PROXY];
  const key = JSON.stringify([protocol, caBundle, idleTimeoutMs, SSL_CERT_FILE, proxies]);
  let agent = agents.get(key);
  if (agent === undefined) {
    const extra = extraCas(caBundle, SSL_CERT_FILE);
    // Reading the CAs takes longer than many a download, so not where no TLS is spoken.
    const plain = protocol === "http:" && !proxies.some((proxy) => proxy?.startsWith("https:"));
    const tls = plain || extra.length === 0 ? {} : { ca: [...getCACertificates("default"), ...extra] };
    agent = new EnvHttpProxyAgent({
      connect: { ...tls, timeout: Math.min(idleTimeoutMs, 15_000) },
      requestTls: tls,
      proxyTls: tls,
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      allowH2: false,
    });
    agents.set(key, agent);
  }
  return agent;
}

/** The configured bundle, and the one of SSL_CERT_FILE, which other tools on the machine trust too. */
function extraCas(caBundle: string | undefined, system: string | undefined): string[] {
  const extra: string[] = [];
  try {
    if (system) extra.push(readFileSync(system, "utf8"));
  } catch {
    // A stale SSL_CERT_FILE is not ours to judge; a server that needs it fails with a TLS error.
  }
  if (caBundle === undefined) return extra;
  try {
    extra.push(readFileSync(caBundle, "utf8"));
  } catch (error) {
    throw new ArtifactError("file", `the CA bundle ${caBundle} cannot be read (${errorCode(error)})`);
  }
  if (extra.at(-1)?.includes("-----BEGIN CERTIFICATE-----")) return extra;
  throw new ArtifactError("file", `the CA bundle ${caBundle} holds no PEM certificate`);
}

/**
 * GETs a URL and follows redirects, but never from https to http, and never with the credentials of another host.
 * Resolves for 200, 206, 304 and 416; @throws ArtifactError for every other outcome.
 */
export async function get(url: string, headers: Record<string, string>, options: HttpOptions): Promise<Response> {
  let target = new URL(url);
  let authorization = takeCredentials(target);
  for (let hops = 0; ; hops++) {
    const sent = { "user-agent": "facecraft-images", "accept-encoding": "identity", ...headers };
    const response = await request(target, {
      dispatcher: agentFor(options, target),
      headers: authorization === undefined ? sent : { ...sent, authorization },
      signal: options.signal ?? null,
    }).catch((error: unknown) => {
      throw fromNetworkError(error);
    });
    const { statusCode: status } = response;
    if (status === 200 || status === 206 || status === 304 || status === 416) return response;
    await discard(response);
    if (![301, 302, 303, 307, 308].includes(status)) throw fromStatus(response);
    if (hops === maxRedirects) {
      throw new ArtifactError("refused", `the server redirects in a loop (${maxRedirects} redirects followed)`);
    }
    const next = URL.parse(header(response, "location") ?? "", target.href);
    if (next === null || !/^https?:$/.test(next.protocol)) {
      throw new ArtifactError("refused", `the server redirects (${status}) without a usable Location`);
    }
    if (target.protocol === "https:" && next.protocol === "http:") {
      throw new ArtifactError("insecure", `it redirects from https to ${redactUrl(next.href)}, which is not encrypted`);
    }
    const given = takeCredentials(next);
    authorization = given ?? (next.origin === target.origin ? authorization : undefined);
    target = next;
  }
}

/** Ends a response whose body nobody wants; the connection is closed if much is left of it. */
export async function discard(response: Response): Promise<void> {
  response.body.on("error", () => {});
  await response.body.dump({ limit: 65_536 }).catch(() => {});
}

export function header(response: Response, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/**
 * ETag, and Last-Modified where it is exact: a date in seconds cannot tell two versions of one second apart, so it
 * counts only once the server's clock has moved on.
 */
export function validatorsOf(response: Response): Validators {
  const etag = header(response, "etag");
  const lastModified = header(response, "last-modified");
  const age = Date.parse(header(response, "date") ?? "") - Date.parse(lastModified ?? "");
  return pickValidators({ etag, lastModified: age >= 2000 ? lastModified : undefined });
}

/** The validators of an object, and nothing else of it. */
export function pickValidators({
  etag,
  lastModified,
}: Partial<Record<keyof Validators, string | undefined>>): Validators {
  return { ...(etag ? { etag } : {}), ...(lastModified ? { lastModified } : {}) };
}

function takeCredentials(url: URL): string | undefined {
  if (!url.username && !url.password) return undefined;
  const pair = `${decode(url.username)}:${decode(url.password)}`;
  url.username = "";
  url.password = "";
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A bare "%" is taken as it is written.
  }
}

function fromStatus(response: Response): ArtifactError {
  const { statusCode: status, statusText } = response;
  const answer = `the server answered ${status}${statusText ? ` ${statusText}` : ""}`;
  if (status === 404 || status === 410) return new ArtifactError("gone", answer);
  const busy = status === 408 || status === 425 || status === 429;
  if (!busy && (status < 500 || status === 501 || status === 505)) return new ArtifactError("refused", answer);
  const retryAfterMs = parseRetryAfter(header(response, "retry-after"), Date.now());
  if (retryAfterMs === undefined) return new ArtifactError("unreachable", answer);
  if (retryAfterMs > longestWait) {
    return new ArtifactError("refused", `${answer} and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`);
  }
  return new ArtifactError("unreachable", answer, { retryAfterMs });
}

/** Milliseconds to wait by a Retry-After header, in seconds or as a date; undefined when absent or unreadable. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
