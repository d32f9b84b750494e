import type { Readable, Writable } from "node:stream";
import { ArtifactError } from "./errors.ts";

export type Format = "bz2" | "gz" | "xz" | "zst" | "none";

/** A started decoder. It fails on whatever is not exactly one whole compressed file. */
export interface Decoder {
  /** Takes the compressed bytes. */
  input: Writable;
  /** Gives the decoded bytes; ends before the input does only where bytes follow that do not belong to the data. */
  output: Readable;
  /** Settles when all went well; rejects with an ArtifactError for corrupt, truncated or trailing bytes. */
  done: Promise<void>;
  /** Stops it at once. */
  kill(): void;
}

export function corrupt(format: Format, detail: string): ArtifactError {
  return new ArtifactError("corrupt", `the .${format} data is corrupt or cut short (${detail})`);
}

export function trailing(format: Format): ArtifactError {
  return new ArtifactError("corrupt", `the .${format} data is followed by bytes that do not belong to it`);
}
