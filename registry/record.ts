import { type Contents, parseContents } from "./contents.ts";
import { RegistryError } from "./errors.ts";
import { type Documents, documentPaths, readLayer } from "./layers.ts";
import type { Credentials } from "./login.ts";
import type { FoundManifest } from "./manifests.ts";
import { onePlatform } from "./platforms.ts";
import { Repository } from "./repository.ts";

/**
 * What the proof of an image found and wrote down, in the image's last layer. What is optional is absent in images of
 * earlier versions.
 */
export interface ProofRecord {
  torch: string;
  cuda: string | null;
  onnxruntime?: string;
  /** What Python is built for by its ELF header, in the words of an image's config. */
  architecture?: string;
  /** sha256 of each model, by its path in the image. */
  models: Record<string, string>;
  /** Versions of the Python packages, by name. */
  packages: Record<string, string>;
  boot: "passed" | "off";
  /** Whether a portrait went in and the right one came out. */
  portrait?: "passed" | "off";
  /** Paths of the models that the application had opened by then. */
  modelsOpened?: string[];
  /** Paths of the models that it did not have to open. */
  unusedModels?: string[];
  /** Whether anybody tried to reach the network until then. */
  network?: "silent" | "asked" | "off";
  /** Variables that the application had in the proof, beside those of the image. */
  environment?: Record<string, string>;
  /** What it was proven on; null where it was proven on none. */
  gpu?: ProvenGpu | null;
}

export interface ProvenGpu {
  name: string;
  /** Of CUDA, such as 8.6. */
  capability: string;
  driver: string;
  /** The one that onnxruntime took. */
  provider: string;
}

/** What was measured in the proof. It varies from run to run, so it stands in a layer of its own below the record. */
export interface Measured {
  /** From the start of the command to the first 200 of the health check's path. */
  readySeconds?: number;
  peakMemoryBytes?: number;
  portraitSeconds?: number;
}

/** What an image says of its own proof. */
export interface Proven {
  record: ProofRecord;
  /** Empty in images of earlier versions, and where the application was not started. */
  measured: Measured;
  /** Absent in images of earlier versions. */
  contents?: Contents;
}

/** What a layer of documents may have, compressed: they are a few kilobytes. */
const mostBytes = 1_000_000;

/**
 * Reads what an image says of its proof, without the rest of the image.
 *
 * @param found the manifest of the image of one platform
 * @param name how to call the image in a message
 * @throws RegistryError for an image that has no record
 */
export async function readProven(repository: Repository, found: FoundManifest, name: string): Promise<Proven> {
  const [below, last] = [found.manifest.layers?.at(-2), found.manifest.layers?.at(-1)];
  const documentsOf = async (layer: typeof last) => {
    const documents: Documents = new Map();
    if (layer && layer.size < mostBytes) {
      await readLayer(repository.stream(layer), layer, documents);
    }
    return documents;
  };
  const [measurements, records] = await Promise.all([documentsOf(below), documentsOf(last)]);
  const record = records.get(documentPaths.proof);
  if (record === undefined) {
    throw new RegistryError(`${name} has no record of a proof: it is no image of this project.`);
  }
  const measured = measurements.get(documentPaths.measured);
  const contents = records.get(documentPaths.contents);
  return {
    record: parse<ProofRecord>(record, `${name} has a record of its proof that is no JSON.`),
    measured: measured === undefined ? {} : parse<Measured>(measured, `${name} has measurements that are no JSON.`),
    ...(contents !== undefined && { contents: parseContents(contents, name) }),
  };
}

/** Reads what the image of one platform says of its proof. @throws RegistryError for an image that has no record */
export async function readRecord(
  repositoryName: string,
  reference: string,
  credentials?: Credentials,
): Promise<ProofRecord> {
  const repository = new Repository(repositoryName, credentials);
  const name = `${repositoryName}${reference.startsWith("sha256:") ? "@" : ":"}${reference}`;
  return (await readProven(repository, await onePlatform(repository, reference), name)).record;
}

function parse<T>(text: string, otherwise: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new RegistryError(otherwise);
  }
}
