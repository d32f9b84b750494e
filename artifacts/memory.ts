import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { type: "minor" }) => void;

let collect: Collect | undefined;

const collectEvery = 8 << 20;
let garbage = 0;

/**
 * Counts the bytes of buffers that passed, and frees them now and then. Every read from a socket is a new buffer outside
 * V8's heap, and V8 lets a hundred MB of dead ones pile up before it cleans. Collecting its young generation takes a
 * millisecond, and is faster than letting memory grow.
 */
export function countGarbage(bytes: number): void {
  garbage += bytes;
  if (garbage < collectEvery) {
    return;
  }
  garbage = 0;
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = (runInNewContext("globalThis.gc") as Collect | undefined) ?? (() => {});
  }
  collect({ type: "minor" });
}
