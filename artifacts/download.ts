import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import type { Deadline } from "./deadline.ts";
import { ArtifactError } from "./errors.ts";
import { type Download, type Sink, Transfer, type TransferOptions } from "./transfer.ts";
import type { SourceUrl } from "./url.ts";

export interface DownloadOptions extends TransferOptions {
  /** Attempts in a row without a new byte. */
  retries: number;
  /** First pause between attempts in milliseconds; doubles, with jitter, up to 30 s. */
  retryDelayMs: number;
  onRetry?: ((cause: string) => void) | undefined;
}

/**
 * Feeds the body behind an http(s) URL to the sink. Broken, stalled and refused transfers are retried and continued
 * where they stopped, but only while the server proves that it is still the same version; otherwise from the start.
 * @throws ArtifactError; whatever the sink throws ends the download at once.
 */
export async function download(
  url: SourceUrl,
  sink: Sink,
  options: DownloadOptions,
  deadline: Deadline,
  onResumed: () => void,
): Promise<Download> {
  const { retries, retryDelayMs } = options;
  const { signal } = deadline;
  const transfer = new Transfer(url, sink, options, deadline);
  try {
    return await pRetry(() => transfer.attempt(), {
      retries,
      minTimeout: retryDelayMs,
      maxTimeout: 30_000,
      randomize: true,
      signal,
      shouldConsumeRetry: () => !transfer.madeProgress,
      shouldRetry: ({ error }) => error instanceof ArtifactError && error.code === "unreachable",
      onFailedAttempt: async ({ error, retriesLeft, retryDelay }) => {
        if (!(error instanceof ArtifactError) || error.code !== "unreachable" || retriesLeft === 0) {
          return;
        }
        options.onRetry?.(error.message);
        const until = performance.now() + Math.max(error.retryAfterMs ?? 0, retryDelay);
        const seconds = () => Math.max(0, Math.ceil((until - performance.now()) / 1000));
        deadline.waitingFor(() => `the next attempt at ${url}, in ${seconds()} s, because ${error.message}`);
        // After progress p-retry does not pause; a server in trouble still gets a moment.
        const pause = Math.max((error.retryAfterMs ?? 0) - retryDelay, transfer.madeProgress ? retryDelayMs : 0);
        await sleep(Math.max(0, pause), undefined, { signal });
      },
    });
  } finally {
    if (transfer.resumed) {
      onResumed();
    }
  }
}
