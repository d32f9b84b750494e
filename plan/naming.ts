/** The key of an OCI label: https://github.com/opencontainers/image-spec/blob/main/annotations.md */
export function label(name: string): string {
  return `org.opencontainers.image.${name}`;
}

/** Labels that are the same on every image of this project. */
export const ownLabels = {
  source: "https://github.com/djok/facecraft",
  licenses: "MIT",
  title: "facecraft",
  vendor: "OBVT Toolbox",
} as const;

/** The part of an immutable tag that says what it is, before its suffix. */
export function tagStem({ version, variant }: { version: string; variant: string }): string {
  // "+" (semver's build metadata) is not allowed in a tag.
  return `${version.replace("+", "_")}-${variant}`;
}

/** The label of a gpu image that says on what it was proven: a GPU and its driver, or {@link notProven}. */
export const gpuLabel = "facecraft.proof.gpu";

export const notProven = "not proven";
