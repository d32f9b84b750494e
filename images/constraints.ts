// `make constraints`: prints the exact Python packages of a released image as lines for pip's -c, so that another build can
// have the same ones.  node images/constraints.ts REFERENCE > constraints.txt
import { splitReference } from "./image.ts";
import { readRecord } from "./record.ts";

async function main([reference = ""]: string[]): Promise<void> {
  if (reference === "") throw new Error("Which image? Give its reference, as the output imageRef has it.");
  const { name, tag, digest } = splitReference(reference);
  const { packages } = await readRecord(name, digest ?? tag ?? "");
  console.log(`# The Python packages of ${reference}`);
  for (const [name, version] of Object.entries(packages).sort()) console.log(`${name}==${version}`);
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
