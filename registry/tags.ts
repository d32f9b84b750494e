import type { Answer } from "../artifacts/answer.ts";
import { Refused, RegistryError } from "./errors.ts";
import type { Credentials } from "./login.ts";
import { Repository } from "./repository.ts";

/** An image as a release left it in the registry. */
export interface Published {
  /** Without a tag. */
  repository: string;
  /** Tags, without the repository. */
  tags: readonly string[];
  digest: string;
}

/** What is said of a tag or an image that is no longer there. */
export const gone = "is gone from the registry";

/** What a tag or a digest leads to. */
export type Found = { digest: string } | { missing: true } | { unknown: string };

/** Asks what a reference leads to. Never throws for what a registry, or what stands in its place, answers. */
export async function find(repository: Repository, reference: string): Promise<Found> {
  try {
    const { digest, manifest } = await repository.manifest(reference);
    const isImage = manifest.config !== undefined || manifest.manifests !== undefined;
    return isImage ? { digest } : { unknown: `${repository.host} answered something that is no manifest` };
  } catch (error) {
    if (error instanceof Refused && error.status === 404) {
      return { missing: true };
    }
    return { unknown: (error instanceof Error ? error.message : String(error)).replace(/\.$/, "") };
  }
}

/** Asks whether the image and its tags are as the release left them: one answer each, the image's first. */
export async function askPublished(published: Published, credentials?: Credentials): Promise<Answer[]> {
  const { repository: name, tags, digest } = published;
  const repository = new Repository(name, credentials);
  return Promise.all([
    answer(`${name}@${digest}`, find(repository, digest), digest),
    ...tags.map((tag) => answer(`${name}:${tag}`, find(repository, tag), digest)),
  ]);
}

async function answer(asked: string, finding: Promise<Found>, digest: string): Promise<Answer> {
  const found = await finding;
  if ("unknown" in found) {
    return { asked, standing: "not known", said: found.unknown };
  }
  if ("missing" in found) {
    return { asked, standing: "changed", said: gone };
  }
  return found.digest === digest
    ? { asked, standing: "as left", said: asked.endsWith(digest) ? "is in the registry" : `names ${digest}` }
    : { asked, standing: "changed", said: `names ${found.digest}, but the release is ${digest}` };
}

/**
 * Lets every tag name the image, and says of each that did not what it was before.
 *
 * @throws RegistryError when the registry cannot be asked, refuses, or does not keep to it
 */
export async function settleTags(published: Published, credentials?: Credentials): Promise<string[]> {
  const { repository: name, tags, digest } = published;
  const repository = new Repository(name, credentials);
  const mended: string[] = [];
  for (const tag of tags) {
    const before = await find(repository, tag);
    if ("unknown" in before) {
      throw new RegistryError(`It is not known what ${name}:${tag} names: ${before.unknown}.`);
    }
    if ("digest" in before && before.digest === digest) {
      continue;
    }
    await repository.tag(tag, digest);
    const now = await find(repository, tag);
    if (!("digest" in now) || now.digest !== digest) {
      throw new RegistryError(`${repository.host} took ${digest} as ${name}:${tag}, but does not answer it there.`);
    }
    mended.push(
      "missing" in before
        ? `${name}:${tag} was gone; it names ${digest} again`
        : `${name}:${tag} named ${before.digest}; it names ${digest} again. The other image is still there, by its digest`,
    );
  }
  return mended;
}
