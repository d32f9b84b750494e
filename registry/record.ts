import { RegistryError } from "./errors.ts";
import { type Documents, documentPaths, readLayer } from "./layers.ts";
import type { Credentials } from "./login.ts";
import { onePlatform } from "./platforms.ts";
import { Repository } from "./repository.ts";

/** What the proof of an image found and wrote down, in the image's last layer. */
export interface ProofRecord {
  torch: string;
  cuda: string | null;
  onnxruntime?: string;
  /** What Python is built for by its ELF header, in the words of an image's config; absent in images of earlier versions. */
  architecture?: string;
  /** sha256 of each model, by its path in the image. */
  models: Record<string, string>;
  /** Versions of the Python packages, by name. */
  packages: Record<string, string>;
  boot: "passed" | "off";
}

/**
 * Reads the record without the rest of the image: it is a layer of its own, of a few kilobytes.
 *
 * @throws RegistryError for an image that has none
 */
export async function readRecord(
  repositoryName: string,
  reference: string,
  credentials?: Credentials,
): Promise<ProofRecord> {
  const repository = new Repository(repositoryName, credentials);
  const { manifest } = await onePlatform(repository, reference);
  const last = manifest.layers?.at(-1);
  const documents: Documents = new Map();
  if (last && last.size < 1_000_000) {
    await readLayer(repository.stream(last), last, documents);
  }
  const record = documents.get(documentPaths.proof);
  if (record === undefined) {
    const image = `${repositoryName}${reference.startsWith("sha256:") ? "@" : ":"}${reference}`;
    throw new RegistryError(`${image} has no record of a proof: it is no image of this project.`);
  }
  return JSON.parse(record) as ProofRecord;
}
