import { models } from "../../plan/models.ts";

export const pin = "a".repeat(64);
const digest = `sha256:${"b".repeat(64)}`;
export const label = (key: string) => `org.opencontainers.image.${key}`;

/** A release that every rule accepts; a test breaks it in one way. */
export const accepted = {
  push: false,
  dockerfile: { location: "docker/Dockerfile.cpu" },
  buildArgs: {
    PYTHON_IMAGE: `docker.io/library/python:3.11-slim@${digest}`,
    TORCH_INDEX_URL: "https://download.pytorch.org/whl/cpu",
    ...Object.fromEntries(
      Object.values(models).flatMap(({ arg }) => [
        [`${arg}_URL`, "https://example.org/model"],
        [`${arg}_SHA256`, pin],
      ]),
    ),
  } as Record<string, unknown>,
  labels: {
    [label("source")]: "https://github.com/djok/facecraft",
    [label("version")]: "1.2.0",
    [label("revision")]: "c".repeat(40),
    [label("description")]: "Facecraft",
    [label("licenses")]: "MIT",
    [label("title")]: "facecraft",
    [label("vendor")]: "OBVT Toolbox",
    [label("base.name")]: "docker.io/library/python:3.11-slim",
    [label("base.digest")]: digest,
  } as Record<string, unknown>,
  tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.0-cpu-0a1b2c3d"] as unknown[],
  exports: [{ raw: "type=registry,oci-mediatypes=true" }] as unknown[],
};
