import { gunzipSync } from "node:zlib";
import { Deadline } from "./deadline.ts";
import { ArtifactError, fromNetworkError } from "./errors.ts";
import { isPage } from "./hint.ts";
import { discard, get, header, type Response } from "./http.ts";
import { SourceUrl } from "./url.ts";
import { type Validators, validatorsOf } from "./validators.ts";

/** What a server says about a file, without sending it. */
export interface Glance extends Validators {
  sizeBytes?: number;
  /** Set for a page for people, as logins and errors are. */
  isPage?: true;
}

const patience = { idleTimeoutMs: 15_000, longestWaitMs: 0 };
const longestMs = 120_000;
const maxBytes = 64 << 20;

/**
 * Asks for one byte of a file: HEAD is refused by some of the sites that a download is redirected to.
 * @throws ArtifactError, as `get` does
 */
export function glance(url: string, headers: Record<string, string> = {}, withinMs = longestMs): Promise<Glance> {
  return asked(url, { range: "bytes=0-0", ...headers }, withinMs, async (response) => {
    await discard(response);
    const whole = /\/(\d+)$/.exec(header(response, "content-range") ?? "")?.[1];
    const size = response.statusCode === 200 ? header(response, "content-length") : whole;
    return {
      ...validatorsOf(response),
      ...(isPage(header(response, "content-type")) && { isPage: true as const }),
      ...(size === undefined ? {} : { sizeBytes: Number(size) }),
    };
  });
}

/** Fetches a page or a list: small, and held in memory. @throws ArtifactError, as `get` does */
export function readText(url: string, headers: Record<string, string> = {}): Promise<string> {
  return asked(url, { "accept-encoding": "gzip", ...headers }, longestMs, async (response) => {
    const body = await bodyOf(response);
    try {
      const isPacked = header(response, "content-encoding") === "gzip";
      return (isPacked ? gunzipSync(body, { maxOutputLength: maxBytes }) : body).toString();
    } catch {
      throw new ArtifactError("corrupt", "the answer does not decompress");
    }
  });
}

function asked<T>(
  url: string,
  headers: Record<string, string>,
  withinMs: number,
  use: (response: Response) => Promise<T>,
): Promise<T> {
  const source = SourceUrl.parse(url);
  const late = () => new ArtifactError("late", `the server did not finish within ${withinMs / 1000} s`);
  const deadline = { what: () => source.toString(), allowedMs: () => withinMs, late };
  return Deadline.over(deadline, async (within) => use(await get(source, headers, options(), within)));
}

async function bodyOf(response: Response): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size > maxBytes) {
        throw new ArtifactError("too-large", `the answer is larger than ${maxBytes} bytes`);
      }
    }
  } catch (error) {
    throw fromNetworkError(error);
  }
  return Buffer.concat(chunks);
}

function options(): { caBundle?: string; idleTimeoutMs: number; longestWaitMs: number } {
  const { FACECRAFT_CA_BUNDLE: caBundle } = process.env;
  return caBundle ? { ...patience, caBundle } : patience;
}
