import { RegistryError } from "./errors.ts";
import type { Descriptor, FoundManifest, Manifest } from "./manifests.ts";
import type { Repository } from "./repository.ts";

/**
 * The manifest of one platform's image: that of linux/amd64 where there is one, because our images are made for it, or else
 * the first.
 *
 * @param reference a tag or a digest
 * @throws RegistryError where it leads to no image
 */
export async function onePlatform(repository: Repository, reference: string): Promise<FoundManifest> {
  return onePlatformOf(repository, await repository.manifest(reference), reference);
}

/** The same of a manifest that was fetched already. */
export async function onePlatformOf(
  repository: Repository,
  found: FoundManifest,
  reference: string,
): Promise<FoundManifest> {
  if (found.manifest.manifests === undefined) {
    return found;
  }
  const images = imagesOf(found.manifest, repository, reference);
  const usual = images.find(({ platform }) => platform?.os === "linux" && platform.architecture === "amd64");
  return repository.manifest((usual ?? (images[0] as Descriptor)).digest);
}

/** The manifests of the images of all platforms. @throws RegistryError where there is none */
export async function everyPlatform(repository: Repository, reference: string): Promise<FoundManifest[]> {
  const found = await repository.manifest(reference);
  if (found.manifest.manifests === undefined) {
    return [found];
  }
  const images = imagesOf(found.manifest, repository, reference);
  return Promise.all(images.map(({ digest }) => repository.manifest(digest)));
}

/** The images of an index: what else is in it, such as attestations, has the platform "unknown". */
function imagesOf({ manifests = [] }: Manifest, repository: Repository, reference: string): Descriptor[] {
  const images = manifests.filter(({ platform }) => platform?.os !== "unknown");
  if (images.length === 0) {
    throw new RegistryError(`${repository.host} has no image under ${reference} of ${repository.path}.`);
  }
  return images;
}
