import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { type: "minor" }) => void;

let collect: Collect | undefined;

/**
 * Frees the dead buffers of a transfer. Every read from a socket is a new buffer outside V8's heap, and V8 lets a
 * hundred MB of them pile up before it cleans. Collecting the young generation now and then takes a millisecond, and is
 * faster than letting memory grow.
 */
export function freeBuffers(): void {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = (runInNewContext("globalThis.gc") as Collect | undefined) ?? (() => {});
  }
  collect({ type: "minor" });
}
