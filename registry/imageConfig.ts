import { RegistryError } from "./errors.ts";
import type { FoundManifest } from "./manifests.ts";
import type { Repository } from "./repository.ts";

/** An image's configuration, as far as this project reads it: https://github.com/opencontainers/image-spec/blob/main/config.md */
export interface ImageConfig {
  created?: string;
  os?: string;
  architecture?: string;
  /** Of the architecture, such as v8. */
  variant?: string;
  config?: {
    User?: string;
    Cmd?: string[];
    /** `NAME=value`. */
    Env?: string[];
    /** Keyed `8000/tcp`. */
    ExposedPorts?: Record<string, unknown>;
    Labels?: Record<string, string>;
    /** Docker's own, with durations in nanoseconds. */
    Healthcheck?: { Test?: string[]; Interval?: number; Timeout?: number; StartPeriod?: number; Retries?: number };
  } & Record<string, unknown>;
  history?: { created_by?: string; empty_layer?: boolean }[];
  /** Digests of the layers, unpacked. */
  rootfs?: { diff_ids?: string[] };
}

/** Fetches the configuration that a manifest names. @throws RegistryError for what is no image */
export async function readConfig(repository: Repository, { digest, manifest }: FoundManifest): Promise<ImageConfig> {
  const what = `${digest} of ${repository.path} in ${repository.host}`;
  if (manifest.config === undefined) {
    throw new RegistryError(`${what} is no image: its manifest names no configuration.`);
  }
  const text = (await repository.blob(manifest.config)).toString();
  try {
    return JSON.parse(text) as ImageConfig;
  } catch {
    throw new RegistryError(`${what} is no image: its configuration is no JSON.`);
  }
}

/** The instruction that made each layer, from the base up. */
export function instructionsOf({ history = [] }: ImageConfig): string[] {
  return history.filter((step) => !step.empty_layer).map(({ created_by = "" }) => created_by);
}

/** `os/architecture`, and the variant where there is one. */
export function platformOf({ os = "nothing", architecture = "nothing", variant }: ImageConfig): string {
  return [os, architecture, ...(variant ? [variant] : [])].join("/");
}
