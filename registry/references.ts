// Names of images, as Docker reads them: the one place where they are taken apart. It needs nothing but the language, so
// that deploy stacks can use it too. The grammar: https://pkg.go.dev/github.com/distribution/reference
import { ActionableError } from "../artifacts/errors.ts";

const host =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[0-9a-fA-F:]+\\])";
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const repository = `(?:${host}(?::\\d+)?/)?${component}(?:/${component})*`;
const tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digest = "sha256:[0-9a-f]{64}";

/** `sha256:<64 hex digits>` */
export const digestPattern = new RegExp(`^${digest}$`);
/** A repository without a tag, such as docker.io/djok/facecraft. */
export const repositoryPattern = new RegExp(`^(?=.{1,255}$)${repository}$`);
/** An image, with or without a tag and a digest. */
export const imagePattern = new RegExp(`^${repository}(?::${tag})?(?:@${digest})?$`);
/** An image that is pinned by its digest. */
export const pinnedImagePattern = new RegExp(`^${repository}(?::${tag})?@${digest}$`);

/** The parts of a reference, as they are written in it. */
export interface Reference {
  repository: string;
  tag: string | undefined;
  digest: string | undefined;
}

/** A reference that leads to an image. */
export interface ImageReference extends Reference {
  /** What a registry is asked for: the digest where there is one, because a tag can come to mean another image. */
  exact: string;
}

/** A name that is no name of an image. */
export class ImageNameError extends ActionableError {}

/** Takes any text apart, also one that names no image. A colon before the last slash belongs to a port. */
export function splitReference(reference: string): Reference {
  const name = nameOf(reference);
  const colon = name.lastIndexOf(":");
  const tagged = colon > name.lastIndexOf("/");
  return {
    repository: tagged ? name.slice(0, colon) : name,
    tag: tagged ? name.slice(colon + 1) : undefined,
    digest: name === reference ? undefined : reference.slice(name.length + 1),
  };
}

/** A reference without its digest. */
export function nameOf(reference: string): string {
  return /^[^@]*/.exec(reference)?.[0] ?? "";
}

/**
 * The parts of a reference that must have a tag or a digest, because nothing is called latest here.
 *
 * @throws ImageNameError
 */
export function parseReference(reference: string): ImageReference {
  const parts = splitReference(reference);
  const exact = parts.digest ?? parts.tag;
  if (!imagePattern.test(reference) || exact === undefined) {
    throw new ImageNameError(
      `"${reference}" names no image; it must be repository:tag, repository@sha256:<64 hex digits>, or both.`,
    );
  }
  return { ...parts, exact };
}

/** Where a repository lies: its registry (Docker Hub where the name has none) and its path there. */
export function locate(repository: string): { registry: string; path: string } {
  const slash = repository.indexOf("/");
  const first = repository.slice(0, Math.max(slash, 0));
  const isRegistry = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const registry = !isRegistry || first === "index.docker.io" ? "docker.io" : first;
  const path = isRegistry ? repository.slice(slash + 1) : repository;
  return { registry, path: registry === "docker.io" && !path.includes("/") ? `library/${path}` : path };
}

/** The whole name of a repository: `python` is `docker.io/library/python`. */
export function fullName(repository: string): string {
  const { registry, path } = locate(repository);
  return `${registry}/${path}`;
}

/** The host that answers for a registry. */
export function hostOf(registry: string): string {
  return registry === "docker.io" ? "registry-1.docker.io" : registry;
}

/** Whether a registry is on this machine. */
export function isLoopback(registry: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(registry);
}
