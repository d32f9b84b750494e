import type { Signer } from "../attest/cosign.ts";
import type { Config } from "./config.ts";

/** Who signs the releases of a stack; undefined where they are not signed. */
export function signerOf({ signing }: Pick<Config, "signing">): Signer | undefined {
  if (signing?.key === undefined) {
    return signing && { keyless: true };
  }
  return { key: signing.key, ...(signing.password && { password: signing.password }) };
}
