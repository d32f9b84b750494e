// The local registry's folder, by the documented layout of its storage: what one clone has published in it, the next one need
// not make again. The registry itself serves no blob whose bytes are not those of its digest.
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { local } from "./paths.ts";
import { replaceText } from "./replaceText.ts";
import { find, keep, take, type Wanted } from "./sharedCache.ts";

const storage = join(local, "registry/docker/registry/v2");

/** Something in the registry that has a tag. */
export interface Tagged {
  repository: string;
  tag: string;
}

/** What a kept repository's entry says beside its blobs. */
interface Note {
  /** Of the manifest that the tag names. */
  digest: string;
  manifests: string[];
}

/** The digest that a tag names; undefined where there is no such tag. */
export function taggedDigest({ repository, tag }: Tagged): string | undefined {
  return readLink(join(folderOf(repository), "_manifests/tags", tag, "current/link"));
}

/** Whether a repository has a manifest. */
export function hasManifest(repository: string, digest: string): boolean {
  return existsSync(manifestLink(repository, digest));
}

/** Puts what was kept of a tag into the registry. @returns the digest that the tag names now; undefined where nothing was kept */
export async function seed(wanted: Wanted, { repository, tag }: Tagged): Promise<string | undefined> {
  if (find(wanted) === undefined) {
    return undefined;
  }
  await mkdir(local, { recursive: true });
  const work = await mkdtemp(join(local, "seed-"));
  try {
    const entry = await take(wanted, (hex) => join(work, hex));
    if (entry === undefined) {
      return undefined;
    }
    const { digest, manifests } = entry.note as unknown as Note;
    for (const hex of Object.keys(entry.files)) {
      if (entry.files[hex]?.sha256 !== hex) {
        return undefined; // no blob's name
      }
      if (!existsSync(blob(`sha256:${hex}`))) {
        await mkdir(dirname(blob(`sha256:${hex}`)), { recursive: true });
        await rename(join(work, hex), blob(`sha256:${hex}`));
      }
    }
    for (const hex of Object.keys(entry.files)) {
      const each = `sha256:${hex}`;
      await replaceText(manifests.includes(each) ? manifestLink(repository, each) : layerLink(repository, each), each);
    }
    const tags = join(folderOf(repository), "_manifests/tags", tag);
    await replaceText(join(tags, "index", digest.replace(":", "/"), "link"), digest);
    await replaceText(join(tags, "current/link"), digest);
    return digest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Keeps what a tag names, with all that belongs to it, unless that is what was kept before. @returns whether it was kept now */
export async function keepTagged(wanted: Wanted, tagged: Tagged, more: Record<string, unknown> = {}): Promise<boolean> {
  const digest = taggedDigest(tagged);
  if (digest === undefined || find(wanted)?.note.digest === digest) {
    return false;
  }
  const { blobs, manifests } = reachable(tagged.repository, digest);
  const files = [...blobs, ...manifests].map((each) => {
    const sha256 = each.slice("sha256:".length);
    return [sha256, { path: blob(each), sha256 }] as const;
  });
  await keep(wanted, Object.fromEntries(files), { digest, manifests, ...more });
  return true;
}

/** All that a manifest names. */
function reachable(repository: string, digest: string): { blobs: string[]; manifests: string[] } {
  const blobs = new Set<string>();
  const manifests = new Set<string>();
  const visit = (each: string) => {
    if (!hasManifest(repository, each)) {
      blobs.add(each);
      return;
    }
    manifests.add(each);
    const named = JSON.parse(readFileSync(blob(each), "utf8")) as Record<string, unknown>;
    for (const part of [named.config, named.layers, named.manifests].flat()) {
      if (part) {
        visit((part as { digest: string }).digest);
      }
    }
  };
  visit(digest);
  return { blobs: [...blobs], manifests: [...manifests] };
}

function folderOf(repository: string): string {
  return join(storage, "repositories", repository);
}

function blob(digest: string): string {
  const hex = digest.slice("sha256:".length);
  return join(storage, "blobs/sha256", hex.slice(0, 2), hex, "data");
}

function layerLink(repository: string, digest: string): string {
  return join(folderOf(repository), "_layers", digest.replace(":", "/"), "link");
}

function manifestLink(repository: string, digest: string): string {
  return join(folderOf(repository), "_manifests/revisions", digest.replace(":", "/"), "link");
}

function readLink(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}
