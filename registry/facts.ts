import { instructionsOf, platformOf, readConfig } from "./imageConfig.ts";
import type { Credentials } from "./login.ts";
import { onePlatformOf } from "./platforms.ts";
import { type Proven, readProven } from "./record.ts";
import { parseReference } from "./references.ts";
import { Repository } from "./repository.ts";

/** What is to be known of an image without reading more than its manifest, its configuration and its last two layers. */
export interface ImageFacts extends Proven {
  /** Without a tag. */
  repository: string;
  /** What a reference to the image leads to: a manifest, or an index of them. */
  digest: string;
  /** Of the manifest of one platform's image, linux/amd64 where there is one: all that follows is of that image. */
  manifestDigest: string;
  /** `os/architecture`, or `os/architecture/variant`. */
  platform: string;
  /** In the words of the image's configuration, RFC 3339; empty where it says nothing. */
  created: string;
  labels: Record<string, string>;
  /** From the base up. */
  layers: ImageLayer[];
}

export interface ImageLayer {
  digest: string;
  /** Compressed, as the registry has it. */
  size: number;
  /** The instruction that made it; empty where the image does not say. */
  madeBy: string;
}

/**
 * Reads what an image says of itself.
 *
 * @param reference `repository:tag`, `repository@digest`, or both, as the stack's output `imageRef` has it; or the parts
 * @param credentials default: the user's `docker login`
 * @throws RegistryError where there is no such image, or one without a record of a proof
 */
export async function readFacts(
  reference: string | { repository: string; digest: string },
  credentials?: Credentials,
): Promise<ImageFacts> {
  const { repository: name, exact } = parseReference(
    typeof reference === "string" ? reference : `${reference.repository}@${reference.digest}`,
  );
  const repository = new Repository(name, credentials);
  const top = await repository.manifest(exact);
  const { digest } = top;
  const found = await onePlatformOf(repository, top, digest);
  const called = `${name}@${digest}`;
  const [config, proven] = await Promise.all([readConfig(repository, found), readProven(repository, found, called)]);
  const instructions = instructionsOf(config);
  return {
    repository: name,
    digest,
    manifestDigest: found.digest,
    platform: platformOf(config),
    created: config.created ?? "",
    labels: config.config?.Labels ?? {},
    layers: (found.manifest.layers ?? []).map(({ digest, size }, index) => ({
      digest,
      size,
      madeBy: instructions[index] ?? "",
    })),
    ...proven,
  };
}
