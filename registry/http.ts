import { type Dispatcher, request } from "undici";
import { agentFor } from "../artifacts/agent.ts";
import { ArtifactError, errorCode, fromNetworkError } from "../artifacts/errors.ts";
import { discard } from "../artifacts/http.ts";
import { isTlsTrouble, Unanswered } from "./errors.ts";

/** How long a registry is waited for. */
export interface Patience {
  /** Longest silence, in milliseconds, before an answer begins and within it. */
  silenceMs: number;
  /** Longest time for an answer, in milliseconds. */
  answerMs: number;
  /** Bytes that come in a second over the slowest link that is put up with; large answers may take longer by that. */
  slowest: number;
}

export const patience: Patience = { silenceMs: 30_000, answerMs: 60_000, slowest: 50_000 };

export interface Question {
  /** Whom it goes to. */
  who: "The registry" | "The token service";
  headers: Readonly<Record<string, string>>;
  /** Default: GET, or POST with a form. */
  method?: "GET" | "POST" | "PUT" | "DELETE";
  form?: URLSearchParams;
  body?: Buffer;
  /** Size of the answer, where it is known. */
  bytes?: number | undefined;
  patience: Patience;
}

const maxRedirects = 10;
/** What a timer can count. */
const longestMs = 2 ** 31 - 1;

/**
 * Asks a registry, or its token service. Redirects are followed (registries keep blobs elsewhere), but never from https to
 * http, and the authorization is for the origin that was asked, and for no other.
 *
 * @throws Unanswered; whatever is answered is an answer, refusals too
 */
export async function ask(url: URL, question: Question): Promise<Answer> {
  const { answerMs, slowest, silenceMs } = question.patience;
  const deadlineMs = Math.min(answerMs + Math.ceil(((question.bytes || 0) / slowest) * 1000), longestMs);
  const signal = AbortSignal.timeout(deadlineMs);
  const asked = `${url.origin}${url.pathname}`;
  const late = () => new Unanswered(`${asked} was not answered to its end within ${deadlineMs / 1000} s.`);
  const body = question.body ?? question.form?.toString() ?? null;
  const { method = question.form ? "POST" : "GET" } = question;
  let target = url;
  let headers: Record<string, string> = { "user-agent": "facecraft-images", ...question.headers };
  for (let hops = 0; hops <= maxRedirects; hops++) {
    let response: Dispatcher.ResponseData;
    try {
      const dispatcher = agentFor({ idleTimeoutMs: silenceMs }, target);
      response = await before(signal, request(target, { dispatcher, method, headers, body, signal }));
    } catch (error) {
      throw signal.aborted ? late() : unreachable(question.who, url, target, error);
    }
    const { statusCode: status } = response;
    if (![301, 302, 303, 307, 308].includes(status) || method !== "GET") {
      return new Answer(asked, response, (error) => (signal.aborted ? late() : brokenOff(asked, error)));
    }
    await discard(response);
    const next = URL.parse(String(response.headers.location ?? ""), target.href);
    if (next === null || !/^https?:$/.test(next.protocol)) {
      throw new Unanswered(`${asked} is redirected (${status}) without a usable Location.`);
    }
    if (target.protocol === "https:" && next.protocol === "http:") {
      throw new Unanswered(`${asked} is redirected from https to ${next.host} by http, which is not encrypted.`);
    }
    if (next.origin !== target.origin) {
      const { authorization: _, ...others } = headers;
      headers = others;
    }
    target = next;
  }
  throw new Unanswered(`${asked} is redirected in a loop (${maxRedirects} redirects followed).`);
}

/** An answer whose body is still to be read. */
export class Answer {
  /** What was asked for, without its query. */
  readonly url: string;
  readonly status: number;
  readonly #response: Dispatcher.ResponseData;
  readonly #broken: (error: unknown) => Unanswered;

  constructor(url: string, response: Dispatcher.ResponseData, broken: (error: unknown) => Unanswered) {
    this.url = url;
    this.status = response.statusCode;
    this.#response = response;
    this.#broken = broken;
  }

  header(name: string): string {
    return [this.#response.headers[name] ?? []].flat().join(", ");
  }

  /** @throws Unanswered where it stops before its end */
  async *bytes(): AsyncGenerator<Buffer> {
    try {
      yield* this.#response.body;
    } catch (error) {
      throw this.#broken(error);
    }
  }

  /** Its first bytes. What is more is not waited for. */
  async start(limit: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of this.bytes()) {
      pieces.push(piece);
      length += piece.length;
      if (length >= limit) {
        break;
      }
    }
    return Buffer.concat(pieces).subarray(0, limit);
  }

  /** Ends it unread. */
  discard(): Promise<void> {
    return discard(this.#response);
  }
}

/** An abort ends the wait also where the client would first finish what it has begun. */
function before<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function unreachable(who: string, asked: URL, target: URL, error: unknown): Unanswered {
  const host = target.host === asked.host ? `${who} ${asked.host}` : `${asked.host} sends to ${target.host}, which`;
  if (error instanceof ArtifactError) {
    return new Unanswered(`${host} cannot be asked: ${error.message}.`);
  }
  const code = errorCode(error);
  if (isTlsTrouble(code)) {
    const remedy = "add its CA to the system's, or name a file with it in SSL_CERT_FILE";
    return new Unanswered(`${host} is not trusted: TLS failed (${code}); ${remedy}.`, code);
  }
  return new Unanswered(`${host} cannot be reached: ${fromNetworkError(error).message}.`, code);
}

function brokenOff(asked: string, error: unknown): Unanswered {
  return new Unanswered(`${asked} was not answered to its end: ${fromNetworkError(error).message}.`, errorCode(error));
}
