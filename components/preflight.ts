import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import { RegistryError, Repository } from "./registry.ts";

/**
 * Asks for what a release will need before anything is downloaded or built: the builder, and the registry where the image
 * goes. A preview needs no registry.
 *
 * @throws ConfigError that names the config key
 */
export async function checkReachable(config: Config): Promise<void> {
  if (config.builder && !knowsBuilder(config.builder)) {
    throw new ConfigError([
      `facecraft:builder is "${config.builder}", but buildx has no such builder; see \`docker buildx ls\`, or make one with \`docker buildx create\`.`,
    ]);
  }
  if (config.push && !pulumi.runtime.isDryRun()) {
    await new Repository(config.repository).ping().catch((error) => {
      if (!(error instanceof RegistryError)) {
        throw error;
      }
      throw new ConfigError([
        `facecraft:repository is "${config.repository}". ${error.message} Nothing was built; correct the key, or start the registry.`,
      ]);
    });
  }
}

/** A builder is an instance of buildx, or a Docker context with the builder that comes with it. */
function knowsBuilder(name: string): boolean {
  const docker = process.env.DOCKER_CONFIG ?? join(homedir(), ".docker");
  const buildx = process.env.BUILDX_CONFIG ?? join(docker, "buildx");
  const context = createHash("sha256").update(name).digest("hex");
  return (
    name === "default" ||
    existsSync(join(buildx, "instances", name)) ||
    existsSync(join(docker, "contexts", "meta", context, "meta.json"))
  );
}
