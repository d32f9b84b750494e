import * as pulumi from "@pulumi/pulumi";
import { RegistryError } from "../registry/errors.ts";
import { ping } from "../registry/ping.ts";
import { builderFault } from "./builder.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";

/**
 * Asks for what a release will need before anything is downloaded or built: the builder, and the registry where the image
 * goes. A preview needs no registry.
 *
 * @throws ConfigError that names the config key
 */
export async function checkReachable(config: Config): Promise<void> {
  const fault = config.builder && (await builderFault(config.builder));
  if (fault) {
    throw new ConfigError([`facecraft:builder is "${config.builder}", ${fault}.`]);
  }
  if (config.push && !pulumi.runtime.isDryRun()) {
    await ping(config.repository).catch((error) => {
      if (!(error instanceof RegistryError)) {
        throw error;
      }
      throw new ConfigError([
        `facecraft:repository is "${config.repository}". ${error.message} Nothing was built; correct the key, or start the registry.`,
      ]);
    });
  }
}
