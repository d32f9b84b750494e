// Prints the exact Python packages of a released image as lines for pip's -c, so that another build can have the same ones.
//   `make constraints`: node scripts/constraints.ts REFERENCE > constraints.txt
//   `make packages`: with `--proof`, and what the image says of its proof, as comments
import { onePlatform } from "../registry/platforms.ts";
import { readProven } from "../registry/record.ts";
import { parseReference } from "../registry/references.ts";
import { Repository } from "../registry/repository.ts";
import { proofLines } from "../reports/image/proof.ts";

async function main([reference = "", mode = ""]: string[]): Promise<void> {
  if (reference === "") {
    throw new Error("Which image? Give its reference, as the output imageRef has it.");
  }
  const { repository: name, exact } = parseReference(reference);
  const repository = new Repository(name);
  const { record, measured } = await readProven(repository, await onePlatform(repository, exact), reference);
  console.log(`# The Python packages of ${reference}`);
  for (const [what, is] of mode === "--proof" ? proofLines(record, measured) : []) {
    console.log(`# ${what}: ${is}`);
  }
  for (const [name, version] of Object.entries(record.packages).sort()) {
    console.log(`${name}==${version}`);
  }
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
