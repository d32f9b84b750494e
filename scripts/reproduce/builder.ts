import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import spawn, { type SubprocessError } from "nano-spawn";
import { ActionableError } from "../../artifacts/errors.ts";
import type { ImageConfig } from "../../registry/imageConfig.ts";
import type { Manifest } from "../../registry/manifests.ts";

/** All that a build gets. */
export interface Build {
  /** Path of the Dockerfile, in the folder that is its context. */
  dockerfile: string;
  /** Folder of the Dockerfile's scripts. */
  scripts: string;
  /** A folder or a git URL. */
  application: string;
  args: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  platform: string;
  /** Path of a PEM file that downloads trust. */
  caBundle?: string | undefined;
}

/**
 * Builds an image in an empty cache, with buildctl, on the builder that BUILDKIT_HOST names. Nothing is pushed.
 *
 * @param into folder that gets the image as an OCI layout
 * @param namespace of the builder's cache folders, so that nothing that was downloaded before is taken from them
 * @throws ActionableError with the end of what the builder said
 */
export async function buildAgain(build: Build, into: string, namespace: string): Promise<void> {
  const { dockerfile, scripts, application, args, labels, platform, caBundle } = build;
  const folder = dirname(dockerfile);
  const named: [string, string][] = [
    ["scripts", scripts],
    ["app", application],
  ];
  const options = [
    ["filename", basename(dockerfile)],
    ["target", "release"],
    ["platform", platform],
    ["build-arg:BUILDKIT_CACHE_MOUNT_NS", namespace],
    ...Object.entries(args).map(([name, value]) => [`build-arg:${name}`, value]),
    ...Object.entries(labels).map(([name, value]) => [`label:${name}`, value]),
    ...named.map(([name, place]) => [`context:${name}`, isFolder(place) ? `local:${name}` : place]),
  ];
  const folders = [["context", folder], ["dockerfile", folder], ...named.filter(([, place]) => isFolder(place))];
  try {
    await spawn(
      "buildctl",
      [
        ...["build", "--no-cache", "--progress=plain", "--frontend=dockerfile.v0"],
        ...folders.flatMap(([name, place]) => ["--local", `${name}=${place}`]),
        ...options.flatMap(([name, value]) => ["--opt", `${name}=${value}`]),
        ...(caBundle ? ["--secret", `id=ca_bundle,src=${caBundle}`] : []),
        ...["--output", `type=oci,dest=${into},tar=false,oci-mediatypes=true`],
      ],
      { stdin: "ignore" },
    );
  } catch (error) {
    const { output = "", message } = error as SubprocessError;
    const end = output.trim().split("\n").slice(-15).join("\n");
    throw new ActionableError(`It cannot be built again:\n${end || message}`);
  }
}

function isFolder(place: string): boolean {
  return !/^[a-z+]+:\/\/|^git@/.test(place);
}

/** An image in a folder, as https://github.com/opencontainers/image-spec/blob/main/image-layout.md has it. */
export class Layout {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The one image that was built. */
  async image(): Promise<{ manifest: Manifest; config: ImageConfig }> {
    let found: Manifest = await this.#json(join(this.#folder, "index.json"));
    while (found.manifests?.[0]) {
      found = await this.#json(this.#path(found.manifests[0].digest));
    }
    return { manifest: found, config: await this.#json(this.#path(found.config?.digest ?? "")) };
  }

  stream(digest: string): AsyncIterable<Uint8Array> {
    return createReadStream(this.#path(digest));
  }

  #path(digest: string): string {
    return join(this.#folder, "blobs", ...digest.split(":"));
  }

  async #json<T>(path: string): Promise<T> {
    return JSON.parse(await readFile(path, "utf8")) as T;
  }
}
