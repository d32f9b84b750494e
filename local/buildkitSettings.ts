import type { Ports } from "./ports.ts";

/** What differs between the places where a BuildKit of the local stacks runs; paths are those of the place. */
export interface Place {
  /** The first lines: where its data are and where it listens, where BuildKit would have it elsewhere. */
  place: readonly string[];
  /** Folders with descriptions of devices, beside those of the system. */
  cdi: readonly string[];
  /** The bounds of its cache, and what else stands in `[worker.oci]` there. */
  worker: readonly string[];
  /** The local registry's CA. */
  ca: string;
}

/** The text of a `buildkitd.toml`. */
export function buildkitSettings(ports: Ports, { place, cdi, worker, ca }: Place): string {
  const folders = ["/etc/cdi", "/var/run/cdi", ...cdi].map((folder) => JSON.stringify(folder));
  return [
    ...place,
    // What build steps may have of this machine's devices: a GPU, where something describes one.
    "[cdi]",
    `specDirs = [${folders.join(", ")}]`,
    'autoAllowed = ["nvidia.com/gpu"]',
    "[worker.containerd]",
    "enabled = false",
    "[worker.oci]",
    // Build steps reach the artifact server and the wheel index, which listen on loopback only.
    'networkMode = "host"',
    ...worker,
    `[registry."localhost:${ports.registry}"]`,
    // Without `http = false`, BuildKit speaks plain HTTP to localhost.
    "http = false",
    `ca = ["${ca}"]`,
    "",
  ].join("\n");
}
