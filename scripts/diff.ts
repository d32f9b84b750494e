// `make diff FROM=... TO=...`: says what changed between two images, by what each says of itself; `--json` as data.
//   node scripts/diff.ts FROM TO [--json]
import { readFacts } from "../registry/facts.ts";
import { differenceLines, differenceOf } from "../reports/image/difference.ts";

async function main([from = "", to = "", mode = ""]: string[]): Promise<void> {
  if (from === "" || to === "") {
    throw new Error(
      "Which images? Name both: make diff FROM=repository:tag TO=repository@sha256:... (TO is the stack's image by default)",
    );
  }
  const difference = differenceOf(...(await Promise.all([readFacts(from), readFacts(to)])));
  console.log(mode === "--json" ? JSON.stringify(difference, undefined, 2) : differenceLines(difference).join("\n"));
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
