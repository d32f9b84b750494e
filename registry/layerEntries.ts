import { createHash, type Hash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { unpackerFor } from "./layers.ts";
import { type Entry, readTar } from "./tar.ts";

/** What a layer has at a path: `file <sha256>`, `folder`, `link <target>` or `other`. */
export type LayerEntries = Map<string, string>;

/**
 * Reads a layer to its end, whatever its size.
 *
 * @param chunks the layer's bytes, which whoever gives them checks against its digest
 */
export async function readEntries(chunks: AsyncIterable<Uint8Array>, mediaType: string): Promise<LayerEntries> {
  const entries: LayerEntries = new Map();
  const hashes = new Map<string, Hash>();
  const onEntry = ({ path, kind, target }: Entry) => {
    entries.set(path, kind === "link" ? `link ${target}` : kind);
    if (kind !== "file") {
      return undefined;
    }
    const hash = createHash("sha256");
    hashes.set(path, hash);
    return (piece: Buffer) => hash.update(piece);
  };
  const unpacking = unpackerFor(mediaType);
  const read = (pieces: AsyncIterable<Uint8Array>) => readTar(pieces, onEntry);
  await (unpacking ? pipeline(chunks, unpacking, read) : read(chunks));
  for (const [path, hash] of hashes) {
    entries.set(path, `file ${hash.digest("hex")}`);
  }
  return entries;
}
