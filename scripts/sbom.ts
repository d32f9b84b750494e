// `make sbom`: writes the bill of materials of an image, made of what its proof wrote down in it, and checks it.
//   node scripts/sbom.ts REFERENCE [FILE]
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { AttestError } from "../attest/errors.ts";
import { checkSbom, sbomOf } from "../attest/sbom.ts";
import { readFacts } from "../registry/facts.ts";

async function main([reference = "", file = ".facecraft/sbom.cdx.json"]: string[]): Promise<void> {
  if (reference === "") {
    throw new Error("Which image? Give its reference, as the output imageRef has it.");
  }
  const facts = await readFacts(reference);
  const sbom = sbomOf(facts);
  const wrong = await checkSbom(sbom);
  if (wrong.length > 0) {
    throw new AttestError(`What ${reference} says of itself makes no valid bill of materials: ${wrong.join("; ")}.`);
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, sbom);
  const { python = [], debian = [], models = [] } = facts.contents ?? {};
  console.log(
    `${file} is the bill of materials (CycloneDX 1.6) of ${facts.repository}@${facts.digest}: ` +
      `${models.length} models, ${python.length} Python packages, ${debian.length} Debian packages`,
  );
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
