import { type Credentials, Repository } from "../components/registry.ts";
import { onePlatform, readLayer } from "./image.ts";

/** What the proof of an image found and wrote down, in the image's last layer. */
export interface ProofRecord {
  torch: string;
  cuda: string | null;
  onnxruntime?: string;
  /** sha256 of each model, by its path in the image. */
  models: Record<string, string>;
  /** Versions of the Python packages, by name. */
  packages: Record<string, string>;
  boot: "passed" | "off";
}

/**
 * Reads the record without the rest of the image: it is a layer of its own, of a few kilobytes.
 *
 * @throws Error for an image that has none
 */
export async function readRecord(
  repositoryName: string,
  reference: string,
  credentials?: Credentials,
): Promise<ProofRecord> {
  const repository = new Repository(repositoryName, credentials);
  const { manifest } = await onePlatform(repository, await repository.manifest(reference));
  const last = manifest.layers?.at(-1);
  const documents = new Map<string, string>();
  if (last && last.size < 1_000_000) await readLayer(await repository.stream(last.digest), last, documents);
  const record = documents.get("usr/share/facecraft/proof.json");
  if (record === undefined)
    throw new Error(`${repositoryName}:${reference} has no record of a proof: it is no image of this project.`);
  return JSON.parse(record) as ProofRecord;
}
