// `make verify`: says what is known of an image, and whether what it, its signature, its provenance and its SBOM claim holds.
//   node scripts/verify.ts REFERENCE, with KEY, or IDENTITY and ISSUER, in the environment, and JSON=1 for data
// Ends with 1 when something does not hold, or when there is no such image.
import { ActionableError } from "../artifacts/errors.ts";
import type { Trust } from "../attest/cosign.ts";
import { examine } from "../attest/verify.ts";
import { flavours } from "../plan/variants.ts";
import { knownLines, knownOf } from "../reports/verified.ts";
import { trustOf } from "./trust.ts";

async function main([reference = ""]: string[]): Promise<number> {
  if (reference === "") {
    throw new ActionableError("Which image? Give its reference, as the output imageRef has it: make verify IMAGE=...");
  }
  const trust: Trust | undefined = trustOf(process.env);
  const examined = await examine(reference, { trust, flavours });
  const known = knownOf(examined, trust);
  console.log(
    process.env.JSON === "1"
      ? JSON.stringify(known, undefined, 2)
      : knownLines(known, examined.facts.measured).join("\n"),
  );
  return known.holds ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof ActionableError)) {
    throw error;
  }
  console.error(error.message);
  return 1;
});
