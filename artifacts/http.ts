import { STATUS_CODES } from "node:http";
import { type Dispatcher, request } from "undici";
import { type AgentOptions, agentFor } from "./agent.ts";
import type { Deadline } from "./deadline.ts";
import { ArtifactError, type ArtifactErrorCode, fromNetworkError } from "./errors.ts";
import type { SourceUrl } from "./url.ts";

export type Response = Dispatcher.ResponseData;

export interface HttpOptions extends AgentOptions {
  /** Longest time that a server may ask us to wait, in milliseconds; beyond it, its answer is final. */
  longestWaitMs: number;
}

const maxRedirects = 10;

/**
 * GETs a URL and follows redirects, but never from https to http, and never with the credentials of another host.
 * Resolves for 200, 206, 304 and 416; @throws ArtifactError for every other outcome.
 */
export async function get(
  url: SourceUrl,
  headers: Record<string, string>,
  options: HttpOptions,
  deadline: Deadline,
): Promise<Response> {
  let target = url;
  let { authorization } = target.revealed();
  for (let hops = 0; ; hops++) {
    const sent = { "user-agent": "facecraft-images", "accept-encoding": "identity", ...headers };
    const response = await answer(target, authorization ? { ...sent, authorization } : sent, options, deadline);
    const { statusCode: status } = response;
    if (status === 200 || status === 206 || status === 304 || status === 416) {
      return response;
    }
    await discard(response);
    if (![301, 302, 303, 307, 308].includes(status)) {
      throw fromStatus(response, options.longestWaitMs);
    }
    if (hops === maxRedirects) {
      throw answered("refused", `the server redirects in a loop (${maxRedirects} redirects followed)`);
    }
    const next = target.resolve(header(response, "location"));
    if (next === undefined || !/^https?:$/.test(next.protocol)) {
      throw answered("refused", `the server redirects (${status}) without a usable Location`);
    }
    if (target.protocol === "https:" && next.protocol === "http:") {
      throw answered("insecure", `it redirects from https to ${next}, which is not encrypted`);
    }
    authorization = next.revealed().authorization ?? (next.origin === target.origin ? authorization : undefined);
    target = next;
  }
}

/** One request, up to the headers of its final answer: those of a 1xx are none, however many come. */
function answer(
  target: SourceUrl,
  headers: Record<string, string>,
  options: HttpOptions,
  deadline: Deadline,
): Promise<Response> {
  const step = {
    what: () => `an answer from ${target.origin}`,
    limitMs: 2 * options.idleTimeoutMs,
    late: () => new ArtifactError("unreachable", "the server did not answer in time"),
  };
  return deadline.step(step, async ({ signal }) => {
    try {
      const { url } = target.revealed();
      return await request(url, { dispatcher: agentFor(options, url), headers, signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : fromNetworkError(error);
    }
  });
}

/**
 * Ends a response whose body nobody wants: what is left of it is read for a moment, so that the connection can be used again,
 * and closed with the connection when there is more.
 */
export async function discard({ body }: Response): Promise<void> {
  body.on("error", () => {});
  const timer = setTimeout(() => body.destroy(), 500);
  await body.dump({ limit: 65_536 }).catch(() => {});
  clearTimeout(timer);
}

export function header(response: Response, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Says a status in the standard's words: what a server writes beside it may be anything. */
function fromStatus(response: Response, longestWaitMs: number): ArtifactError {
  const { statusCode: status } = response;
  const words = STATUS_CODES[status];
  const answer = `the server answered ${status}${words ? ` ${words}` : ""}`;
  if (status === 404 || status === 410) {
    return answered("gone", answer);
  }
  const busy = status === 408 || status === 425 || status === 429;
  if (!busy && (status < 500 || status === 501 || status === 505)) {
    return answered("refused", answer);
  }
  const retryAfterMs = parseRetryAfter(header(response, "retry-after"), Date.now());
  if (retryAfterMs === undefined) {
    return answered("unreachable", answer);
  }
  if (retryAfterMs > longestWaitMs) {
    return answered("refused", `${answer} and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`);
  }
  return answered("unreachable", answer, retryAfterMs);
}

function answered(code: ArtifactErrorCode, message: string, retryAfterMs?: number): ArtifactError {
  return new ArtifactError(code, message, { answered: true, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Milliseconds to wait by a Retry-After header, in seconds or as a date; undefined when absent or unreadable. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (/^\s*\d+\s*$/.test(value)) {
    return Number(value) * 1000;
  }
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
