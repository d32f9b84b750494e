// `make constraints`: prints the exact Python packages of a released image as lines for pip's -c, so that another build can
// have the same ones.  node images/constraints.ts REFERENCE > constraints.txt
import { readImage } from "./image.ts";
import { summarize } from "./summary.ts";

async function main([reference = ""]: string[]): Promise<void> {
  if (reference === "") throw new Error("Which image? Give its reference, as the output imageRef has it.");
  const { packages, digest } = summarize(await readImage(reference));
  if (packages.length === 0)
    throw new Error(`${reference} has no record of its packages (/usr/share/facecraft/packages.json).`);
  console.log(`# The Python packages of ${reference.replace(/@.*/, "")}@${digest}`);
  for (const { name, version } of packages) console.log(`${name}==${version}`);
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
