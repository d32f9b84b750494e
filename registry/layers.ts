import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { RegistryError } from "./errors.ts";
import type { Descriptor } from "./manifests.ts";
import { readTar } from "./tar.ts";

/** What a layer holds, read to its end. */
export interface LayerContent {
  /** Bytes of the files in it. */
  bytes: number;
  files: StoredFile[];
  /** Paths that hide what lower layers have there: a file, or everything in a folder. */
  removed: string[];
}

export interface StoredFile {
  path: string;
  bytes: number;
}

/** Small files that say what the image is made of, by path. */
export type Documents = Map<string, string>;

/** Where our images keep what their proof found and measured, what they are made of, and which Python packages they have. */
export const documentPaths = {
  proof: "usr/share/facecraft/proof.json",
  contents: "usr/share/facecraft/contents.json",
  measured: "usr/share/facecraft/measured.json",
  packages: "usr/share/facecraft/packages.json",
} as const;

const documents = /^usr\/share\/facecraft\/(?:[\w.-]+\.json|models\/[\w.-]+\.sha256)$/;
const documentBytes = 16 << 20;

/**
 * Reads a layer as it comes.
 *
 * @param chunks the layer's bytes, which whoever gives them checks against its digest
 * @param kept gets the documents of the layer, over those of the layers below
 */
export async function readLayer(
  chunks: AsyncIterable<Uint8Array>,
  { digest, mediaType }: Pick<Descriptor, "digest" | "mediaType">,
  kept: Documents,
): Promise<LayerContent> {
  const files: StoredFile[] = [];
  const removed: string[] = [];
  const pieces = new Map<string, Buffer[]>();
  const read = (unpacked: AsyncIterable<Uint8Array>) =>
    readTar(unpacked, ({ path, kind, size }) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      if (name === ".wh..wh..opq") {
        removed.push(path.slice(0, -name.length));
      } else if (name.startsWith(".wh.")) {
        removed.push(path.slice(0, -name.length) + name.slice(4));
      } else if (kind !== "folder") {
        files.push({ path, bytes: size });
      }
      if (kind !== "file" || !documents.test(path)) {
        return undefined;
      }
      if (size > documentBytes) {
        throw new Error(`${path} in it is too large for a document (${size} bytes)`);
      }
      const own: Buffer[] = [];
      pieces.set(path, own);
      return (piece) => own.push(piece);
    });
  try {
    const unpacking = unpackerFor(mediaType);
    await (unpacking ? pipeline(chunks, unpacking, read) : read(chunks));
  } catch (error) {
    throw error instanceof RegistryError
      ? error
      : new RegistryError(`The layer ${digest} cannot be read: ${(error as Error).message}.`);
  }
  for (const [path, own] of pieces) {
    kept.set(path, Buffer.concat(own).toString());
  }
  return { files, removed, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Undefined for a layer that is not compressed. */
export function unpackerFor(mediaType: string) {
  return mediaType.endsWith("zstd") ? createZstdDecompress() : mediaType.endsWith("gzip") ? createGunzip() : undefined;
}
