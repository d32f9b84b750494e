import { readArgs } from "../artifacts/pins.ts";
import { imagePattern, splitReference } from "../registry/references.ts";

/** A Dockerfile as it was read, with the names of the ARGs that are base images. */
export interface BaseFile {
  path: string;
  text: string;
  args: readonly string[];
}

/** One base image as a Dockerfile names it: `repository:tag`, and the digest it is pinned to. */
export interface Base {
  path: string;
  arg: string;
  repository: string;
  tag: string;
  digest: string | undefined;
}

export interface BaseChange extends Base {
  now: string;
}

/** @throws Error for an ARG that is missing, or names no tag: a digest alone could never be updated. */
export function basesOf({ path, text, args }: BaseFile): Base[] {
  const values = readArgs(text);
  return args.map((arg) => {
    const value = values.get(arg) ?? "";
    const { repository, tag, digest } = splitReference(value);
    if (!imagePattern.test(value) || tag === undefined) {
      throw new Error(`ARG ${arg} in ${path} is "${value}"; it must be repository:tag or repository:tag@digest.`);
    }
    return { path, arg, repository, tag, digest };
  });
}

/** The file with other digests, and every other byte as it was. */
export function pinBases(file: BaseFile, changes: readonly BaseChange[]): string {
  return changes.reduce((text, { arg, repository, tag, digest, now }) => {
    const name = `${repository}:${tag}`;
    return text.replaceAll(`ARG ${arg}=${name}${digest ? `@${digest}` : ""}\n`, `ARG ${arg}=${name}@${now}\n`);
  }, file.text);
}
