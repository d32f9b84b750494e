import { ActionableError } from "../artifacts/errors.ts";
import type { Trust } from "../attest/cosign.ts";

/**
 * Whose signature counts, as the commands are told: KEY, or IDENTITY and ISSUER.
 *
 * @returns undefined where nobody says
 * @throws ActionableError for a half, or for both
 */
export function trustOf({ KEY = "", IDENTITY = "", ISSUER = "" }: NodeJS.ProcessEnv): Trust | undefined {
  if ((IDENTITY === "") !== (ISSUER === "") || (KEY !== "" && IDENTITY !== "")) {
    throw new ActionableError(
      "Whose signature counts? Give KEY=cosign.pub, or both IDENTITY=... and ISSUER=... of who signs without a key.",
    );
  }
  return KEY !== "" ? { key: KEY } : IDENTITY !== "" ? { identity: IDENTITY, issuer: ISSUER } : undefined;
}
