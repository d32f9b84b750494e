/** What a manifest says of a blob, or an index of a manifest. */
export interface Descriptor {
  digest: string;
  mediaType: string;
  size: number;
  platform?: { os: string; architecture: string };
}

/** An image manifest (`config`, `layers`) or an index of them (`manifests`). */
export interface Manifest {
  mediaType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
  annotations?: Record<string, string>;
}

/** A manifest, with the digest of the bytes that came. */
export interface FoundManifest {
  digest: string;
  manifest: Manifest;
}

export const indexType = "application/vnd.oci.image.index.v1+json";

/** What this project can read. */
export const manifestTypes = [
  "application/vnd.oci.image.manifest.v1+json",
  indexType,
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

/** @returns undefined for what is no JSON object */
export function parseManifest(body: Buffer): Manifest | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString());
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
