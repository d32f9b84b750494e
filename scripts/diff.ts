// `make diff FROM=... TO=...`: says what changed between two images, by what each says of itself; `--json` as data.
//   node scripts/diff.ts FROM TO [--json]
import { sbomOf } from "../attest/sbom.ts";
import { readFacts } from "../registry/facts.ts";
import { differenceLines, differenceOf } from "../reports/image/difference.ts";
import { scan, vulnerabilityLines } from "../reports/vulnerabilities.ts";

async function main([from = "", to = "", mode = ""]: string[]): Promise<void> {
  if (from === "" || to === "") {
    throw new Error(
      "Which images? Name both: make diff FROM=repository:tag TO=repository@sha256:... (TO is the stack's image by default)",
    );
  }
  const both = await Promise.all([readFacts(from), readFacts(to)]);
  const difference = differenceOf(...both);
  // An image of an earlier version has no bill of materials to look through.
  const isListed = both.every(({ contents }) => contents !== undefined) && difference.from !== difference.to;
  const scanned = isListed ? await scan(both.map(sbomOf)) : undefined;
  if (mode === "--json") {
    console.log(JSON.stringify({ ...difference, vulnerabilities: scanned ?? null }, undefined, 2));
    return;
  }
  console.log([...differenceLines(difference), ...(isListed ? ["", ...vulnerabilityLines(scanned)] : [])].join("\n"));
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
