import { secret, unknown } from "../../policy/image.ts";

/**
 * Sentinels for values that a preview does not know yet, one for each type. Named as in the engine's SDK
 * (github.com/pulumi/pulumi/sdk/v3, `go/common/resource/plugin/rpc.go`); the Node.js SDK has the one for strings only, as
 * `runtime.unknownValue`.
 */
export const unknownSentinels = {
  UnknownBoolValue: "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  UnknownNumberValue: "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  UnknownStringValue: "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  UnknownArrayValue: "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  UnknownAssetValue: "030794c1-ac77-496b-92df-f27374a8bd58",
  UnknownArchiveValue: "e48ece36-62e2-4504-bad9-02848725956a",
  UnknownObjectValue: "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
} as const;

/** The key that marks an object as something special, and its value for a secret: `sig.Key` and `sig.Secret` of the same SDK. */
export const specialSigKey = "4dabf18193072939515e22adb298388d";
export const specialSecretSig = "1b47061264138c4ac30d75fd1eb44270";

/** What the engine's log shows in place of each known secret, in whatever text it stands. */
const mask = "[secret]";

const sentinels = new Set<unknown>(Object.values(unknownSentinels));

/** Replaces what the engine marks as secret, or as not known yet, by the symbols of policy/image.ts. */
export function marked(of: unknown): unknown {
  if (Array.isArray(of)) {
    return of.map(marked);
  }
  if (typeof of === "object" && of !== null) {
    return specialSigKey in of && of[specialSigKey] === specialSecretSig
      ? secret
      : Object.fromEntries(Object.entries(of).map(([key, item]) => [key, marked(item)]));
  }
  if (sentinels.has(of)) {
    return unknown;
  }
  // What is behind the mask cannot be judged: a secret torch index is of no other variant.
  return typeof of === "string" && of.includes(mask) ? secret : of;
}
