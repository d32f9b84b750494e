import { createHash } from "node:crypto";
import { Readable, Transform } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { type Manifest, Repository } from "../components/registry.ts";
import { readTar } from "./tar.ts";

/** An image as it lies in a registry, with every layer read to its end. */
export interface Image {
  reference: string;
  digest: string;
  created: string;
  labels: Record<string, string>;
  config: Record<string, unknown>;
  history: string[];
  layers: Layer[];
  /** Small files that say what the image is made of, by path. */
  documents: Map<string, string>;
}

export interface Layer {
  digest: string;
  /** The instruction that made it. */
  madeBy: string;
  compressedBytes: number;
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

const documents = /^usr\/share\/facecraft\/(?:[\w.-]+\.json|models\/[\w.-]+\.sha256)$/;

/** The parts of `repository:tag@digest`; a tag or a digest must be there, because nothing is called latest here. */
export function splitReference(reference: string): {
  name: string;
  tag: string | undefined;
  digest: string | undefined;
} {
  const [, name, tag, digest] = /^([^@]+?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(reference) ?? [];
  if (name === undefined || (tag === undefined && digest === undefined)) {
    throw new Error(`"${reference}" names no image; it must be repository:tag, repository@sha256:..., or both.`);
  }
  return { name, tag, digest };
}

/** @param reference `repository:tag`, `repository@digest`, or both, as the stack's output `imageRef` has it */
export async function readImage(reference: string): Promise<Image> {
  const { name, tag, digest } = splitReference(reference);
  const repository = new Repository(name);
  const found = await onePlatform(repository, await repository.manifest(digest ?? tag ?? ""));
  const config = JSON.parse((await repository.blob(found.manifest.config?.digest ?? "")).toString()) as ImageConfig;
  const steps = (config.history ?? []).filter((step) => !step.empty_layer);
  const kept = new Map<string, string>();
  const layers: Layer[] = [];
  for (const [index, descriptor] of (found.manifest.layers ?? []).entries()) {
    const stream = await repository.stream(descriptor.digest);
    const madeBy = steps[index]?.created_by ?? "";
    layers.push({
      digest: descriptor.digest,
      madeBy,
      compressedBytes: descriptor.size,
      ...(await readLayer(stream, descriptor, kept)),
    });
  }
  return {
    reference,
    digest: found.digest,
    created: config.created ?? "",
    labels: config.config?.Labels ?? {},
    config: config.config ?? {},
    history: (config.history ?? []).map(({ created_by }) => created_by ?? ""),
    layers,
    documents: kept,
  };
}

export async function onePlatform(repository: Repository, found: { digest: string; manifest: Manifest }) {
  const all = found.manifest.manifests;
  if (!all) return found;
  const here = all.find(({ platform }) => platform?.os === "linux" && platform.architecture === "amd64") ?? all[0];
  return repository.manifest(here?.digest ?? "");
}

export async function readLayer(
  stream: ReadableStream<Uint8Array>,
  { digest, mediaType }: { digest: string; mediaType: string },
  kept: Map<string, string>,
): Promise<Pick<Layer, "bytes" | "files" | "removed">> {
  const files: StoredFile[] = [];
  const removed: string[] = [];
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const compressed = Readable.fromWeb(stream)
    .on("error", (error) => hashing.destroy(error))
    .pipe(hashing);
  const unpacked = mediaType.endsWith("zstd")
    ? compressed.pipe(createZstdDecompress())
    : mediaType.endsWith("gzip")
      ? compressed.pipe(createGunzip())
      : compressed;
  await readTar(unpacked, ({ path, kind, size }) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (name === ".wh..wh..opq") removed.push(path.slice(0, -name.length));
    else if (name.startsWith(".wh.")) removed.push(path.slice(0, -name.length) + name.slice(4));
    else if (kind !== "folder") files.push({ path, bytes: size });
    if (kind !== "file" || !documents.test(path)) return undefined;
    kept.set(path, "");
    return (piece) => kept.set(path, (kept.get(path) ?? "") + piece.toString());
  });
  if (`sha256:${hash.digest("hex")}` !== digest)
    throw new Error(`The layer ${digest} came with other bytes than its digest says.`);
  return { files, removed, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

interface ImageConfig {
  created?: string;
  config?: { Labels?: Record<string, string> } & Record<string, unknown>;
  history?: { created_by?: string; empty_layer?: boolean }[];
}
