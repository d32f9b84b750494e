import type { Deadline } from "./deadline.ts";
import { ArtifactError, fromNetworkError } from "./errors.ts";
import type { Response } from "./http.ts";

export interface Pace {
  /** What is waited for, in words. */
  what: () => string;
  /** Longest silence, in milliseconds. */
  idleTimeoutMs: number;
  /** The least that must come in that time: a server that sends a few bytes now and then never goes silent. */
  paceBytes: number;
}

/**
 * Gives each chunk of a body to `take`, and waits where that asks for it: while it does, the server is not to blame. Ends with
 * the body, or when `take` has enough. @throws ArtifactError for a connection that breaks, stalls or drips; what `take` throws.
 */
export async function eachChunk(
  body: Response["body"],
  { what, idleTimeoutMs, paceBytes }: Pace,
  deadline: Deadline,
  take: (chunk: Buffer) => Promise<void> | undefined | "enough",
): Promise<void> {
  let bytes = 0;
  let lastAt = performance.now();
  let taking = false;
  const late = () => {
    if (taking) {
      return undefined;
    }
    const silent = performance.now() - lastAt > idleTimeoutMs / 2;
    const trouble = silent ? "the transfer stalled" : "the transfer is too slow to come to an end";
    return new ArtifactError("unreachable", trouble);
  };
  await deadline.step({ what, limitMs: idleTimeoutMs, late }, async ({ signal, progress }) => {
    signal.addEventListener("abort", () => body.destroy(), { once: true });
    const chunks = body.on("error", () => {})[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await chunks.next().catch((error: unknown) => {
          throw fromNetworkError(error);
        });
        signal.throwIfAborted();
        if (done) {
          return;
        }
        const chunk = value as Buffer;
        lastAt = performance.now();
        bytes += chunk.length;
        if (bytes >= paceBytes) {
          bytes = 0;
          progress();
        }
        const full = take(chunk);
        if (full === "enough") {
          return;
        }
        if (full !== undefined) {
          taking = true;
          await full;
          taking = false;
        }
      }
    } finally {
      body.destroy();
    }
  });
}
