import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { Trust } from "../attest/cosign.ts";
import { checked, object, optional, text } from "../plan/schema.ts";

const key = "the path of a public key such as cosign.pub, env://NAME, or a key of a KMS such as awskms:///alias/name";

/** Whose signature a release must have, as every deploy project's key `verify` has it. */
export const trusted = v.pipe(
  object({
    key: optional(checked(isPublicKey, key)),
    identity: optional(text("who signed, as the certificate has it")),
    issuer: optional(text("the URL of who vouches for that one")),
  }),
  v.check(
    (given) =>
      (given.key === undefined) !== (given.identity === undefined) &&
      (given.identity === undefined) === (given.issuer === undefined),
    "{key}, or {identity, issuer} of who signs without a key",
  ),
  v.transform(({ key, identity = "", issuer = "" }): Trust => (key === undefined ? { identity, issuer } : { key })),
);

/** Whether cosign could take it for one: what is no file is for cosign to judge. */
function isPublicKey(reference: string): boolean {
  try {
    return reference.includes("://") || readFileSync(reference, "utf8").includes("PUBLIC KEY-----");
  } catch {
    return false;
  }
}
