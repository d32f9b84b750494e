import { instructionsOf, readConfig } from "./imageConfig.ts";
import { type Documents, type LayerContent, readLayer } from "./layers.ts";
import { onePlatform } from "./platforms.ts";
import { parseReference } from "./references.ts";
import { Repository } from "./repository.ts";

/** An image as it lies in a registry, with every layer read to its end. */
export interface Image {
  reference: string;
  digest: string;
  created: string;
  labels: Record<string, string>;
  config: Record<string, unknown>;
  history: string[];
  layers: Layer[];
  documents: Documents;
}

export interface Layer extends LayerContent {
  digest: string;
  /** The instruction that made it. */
  madeBy: string;
  compressedBytes: number;
}

/** @param reference `repository:tag`, `repository@digest`, or both, as the stack's output `imageRef` has it */
export async function readImage(reference: string): Promise<Image> {
  const { repository: name, exact } = parseReference(reference);
  const repository = new Repository(name);
  const found = await onePlatform(repository, exact);
  const imageConfig = await readConfig(repository, found);
  const { created = "", config = {}, history = [] } = imageConfig;
  const instructions = instructionsOf(imageConfig);
  const documents: Documents = new Map();
  const layers: Layer[] = [];
  for (const [index, descriptor] of (found.manifest.layers ?? []).entries()) {
    const { digest, size: compressedBytes } = descriptor;
    const content = await readLayer(repository.stream(descriptor), descriptor, documents);
    layers.push({ digest, madeBy: instructions[index] ?? "", compressedBytes, ...content });
  }
  return {
    reference,
    digest: found.digest,
    created,
    labels: config.Labels ?? {},
    config,
    history: history.map(({ created_by }) => created_by ?? ""),
    layers,
    documents,
  };
}
