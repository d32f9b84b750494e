// `make constraints`, `make packages`: prints the exact Python packages of a released image as lines for pip's -c, so that another build can
// have the same ones.  node scripts/constraints.ts REFERENCE > constraints.txt
import { readRecord } from "../registry/record.ts";
import { parseReference } from "../registry/references.ts";

async function main([reference = ""]: string[]): Promise<void> {
  if (reference === "") {
    throw new Error("Which image? Give its reference, as the output imageRef has it.");
  }
  const { repository, exact } = parseReference(reference);
  const { packages } = await readRecord(repository, exact);
  console.log(`# The Python packages of ${reference}`);
  for (const [name, version] of Object.entries(packages).sort()) {
    console.log(`${name}==${version}`);
  }
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
