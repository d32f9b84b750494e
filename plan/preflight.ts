import * as pulumi from "@pulumi/pulumi";
import { RegistryError } from "../registry/errors.ts";
import { ping } from "../registry/ping.ts";
import { builderFault } from "./builder.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import { signerOf } from "./signing.ts";

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

/**
 * Opens the key that an update will sign with, before anything is built: it is there, and its password is right. A preview needs
 * no key, and a stack that pushes nothing signs nothing.
 *
 * @returns the public key (PEM); undefined where there is none to open
 * @throws ConfigError that names the config key
 */
export async function openSigner(config: Config): Promise<string | undefined> {
  const signer = signerOf(config);
  if (signer === undefined || !config.push || pulumi.runtime.isDryRun()) {
    return undefined;
  }
  if (!("key" in signer)) {
    if (!oidcVariables.some((name) => process.env[name])) {
      throw new ConfigError([
        "facecraft:signing is {keyless: true}, but nobody vouches for this process: it works in GitHub Actions, in a job with the " +
          "permission `id-token: write`. Elsewhere, sign with a key.",
      ]);
    }
    return undefined;
  }
  const { CosignError, publicKey } = await import("../attest/cosign.ts");
  return publicKey(signer).catch((error) => {
    if (!(error instanceof CosignError)) {
      throw error;
    }
    const key = error.reason === "password" ? "signing.password" : "signing.key";
    throw new ConfigError([`facecraft:${key} cannot be used. ${error.message} Nothing was built.`]);
  });
}

/** Where cosign finds a token of GitHub's OIDC, or one that somebody else has got. */
const oidcVariables = ["ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"];
