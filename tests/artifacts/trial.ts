import { readdirSync } from "node:fs";
import { expect } from "vitest";
import type { ArtifactError } from "../../artifacts/errors.ts";
import { type Artifact, type FetchOptions, fetchArtifact } from "../../artifacts/fetch.ts";
import { sha256, temporaryFolder } from "./server.ts";

export const title = "CodeFormer";

export interface Trial {
  cacheDir: string;
  warnings: string[];
  retries: string[];
  fetch(urls: string | string[], pinned: Buffer | string, options?: FetchOptions): Promise<Artifact>;
  /** Expects a failure that names the model, the URLs and the cause, and that nothing is left behind. */
  refuses(
    urls: string | string[],
    pinned: Buffer | string,
    cause: string | RegExp,
    options?: FetchOptions,
  ): Promise<ArtifactError>;
}

/** A fetch with an empty cache, short waits, and its warnings caught. */
export function trial(cacheDir = temporaryFolder()): Trial {
  const warnings: string[] = [];
  const retries: string[] = [];
  const fetch: Trial["fetch"] = (urls, pinned, options) =>
    fetchArtifact(
      { title, urls: [urls].flat(), sha256: typeof pinned === "string" ? pinned : sha256(pinned) },
      {
        cacheDir,
        retryDelayMs: 2,
        idleTimeoutMs: 2000,
        warn: (sentence) => warnings.push(sentence),
        onRetry: (cause) => retries.push(cause),
        ...options,
      },
    );
  const refuses: Trial["refuses"] = async (urls, pinned, cause, options) => {
    const before = files(cacheDir);
    const error = await fetch(urls, pinned, options).then(
      () => expect.unreachable("the fetch passed"),
      (thrown: ArtifactError) => thrown,
    );
    expect(error.name).toBe("ArtifactError");
    expect(error.message.startsWith(`${title}: `)).toBe(true);
    for (const url of [urls].flat()) {
      expect(error.message).toContain(url);
    }
    expect(error.message).toMatch(cause);
    expect(files(cacheDir)).toEqual(before);
    return error;
  };
  return { cacheDir, warnings, retries, fetch, refuses };
}

export function files(folder: string): string[] {
  return readdirSync(folder).sort();
}
