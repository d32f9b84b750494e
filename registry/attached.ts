import { Refused, RegistryError } from "./errors.ts";
import type { Repository } from "./repository.ts";

/** What cosign signs says what it is by its type; these are those of this project, by the words that cosign has for them. */
export const predicateTypes = {
  signature: "https://sigstore.dev/cosign/sign/v1",
  cyclonedx: "https://cyclonedx.org/bom",
  slsaprovenance1: "https://slsa.dev/provenance/v1",
} as const;

export type AttachedKind = keyof typeof predicateTypes;

/** What lies beside an image in its repository and refers to it. What it claims to be, nobody has verified here. */
export interface Attached {
  /** Of its own manifest. */
  digest: string;
  kind: AttachedKind | "other";
}

/** Where cosign writes down the type of what it attaches. */
const typeAnnotation = "dev.sigstore.bundle.predicateType";

/**
 * Lists what is attached to a manifest: by the referrers API, or where the registry has none, by the index that stands in for
 * it under the tag `sha256-<64 hex digits>` (https://github.com/opencontainers/distribution-spec). What is listed there, but
 * gone itself, is left out.
 *
 * @param digest of the image's manifest or index, which need not be there
 * @throws RegistryError
 */
export async function listAttached(repository: Repository, digest: string): Promise<Attached[]> {
  const listed = (await repository.referrers(digest)) ?? (await ifThere(listedByTag(repository, digest))) ?? [];
  const found = await Promise.all(listed.map((one) => ifThere(attachedAt(repository, one))));
  return found.filter((one) => one !== undefined);
}

/**
 * Takes what is gone out of the index that stands in for a referrers API: a registry stores no index that names what it does not
 * have, so nothing could be attached any more.
 *
 * @param digest of the image's manifest or index
 * @throws RegistryError
 */
export async function forgetMissing(repository: Repository, digest: string): Promise<void> {
  if ((await repository.referrers(digest)) !== undefined) {
    return;
  }
  const tag = tagOf(digest);
  const found = await ifThere(repository.manifest(tag));
  const listed = found?.manifest.manifests ?? [];
  const there = await Promise.all(listed.map((entry) => ifThere(repository.manifest(entry.digest))));
  if (found && there.includes(undefined)) {
    const manifests = listed.filter((_, index) => there[index] !== undefined);
    await repository.put(tag, { ...found.manifest, manifests });
  }
}

async function listedByTag(repository: Repository, digest: string): Promise<string[]> {
  const { manifest } = await repository.manifest(tagOf(digest));
  if (manifest.manifests === undefined) {
    throw new RegistryError(`${repository.host} answered ${tagOf(digest)} of ${repository.path} with what is no list.`);
  }
  return manifest.manifests.map((entry) => entry.digest);
}

function tagOf(digest: string): string {
  return digest.replace(":", "-");
}

async function attachedAt(repository: Repository, digest: string): Promise<Attached> {
  const { manifest } = await repository.manifest(digest);
  const type = manifest.annotations?.[typeAnnotation];
  const [kind] = Object.entries(predicateTypes).find(([, known]) => known === type) ?? [];
  return { digest, kind: (kind as AttachedKind | undefined) ?? "other" };
}

async function ifThere<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
