// `make image-report`: reads every layer of an image from its registry and writes report.json, report.html and layers.svg.
//   node scripts/image-report.ts REFERENCE [FOLDER]
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatBytes } from "../artifacts/text.ts";
import { listAttached } from "../registry/attached.ts";
import { readImage } from "../registry/image.ts";
import { parseReference } from "../registry/references.ts";
import { Repository } from "../registry/repository.ts";
import { attachedLines } from "../reports/image/attached.ts";
import { layerChart } from "../reports/image/chart.ts";
import { page } from "../reports/image/page.ts";
import { proofLines } from "../reports/image/proof.ts";
import { summarize } from "../reports/image/summary.ts";

async function main([reference = "", folder = ".facecraft/image-report"]: string[]): Promise<void> {
  if (reference === "") {
    throw new Error(
      "Which image? Give its reference (repository:tag or repository@sha256:...), as the output imageRef has it.",
    );
  }
  const read = await readImage(reference);
  // What is attached is attached to what the reference names, which may be an index of several images.
  const { repository: name, exact } = parseReference(reference);
  const repository = new Repository(name);
  const { digest } = await repository.manifest(exact);
  const image = summarize(read, await listAttached(repository, digest));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(image, undefined, 2)}\n`);
  writeFileSync(join(folder, "report.html"), page(image));
  writeFileSync(join(folder, "layers.svg"), layerChart(image));
  for (const layer of image.layers) {
    console.log(`${formatBytes(layer.compressedBytes).padStart(10)}  ${layer.digest.slice(7, 19)}  ${layer.title}`);
  }
  for (const [what, is] of image.proof ? proofLines(image.proof, image.measured) : []) {
    console.log(`${what}: ${is}`);
  }
  for (const [what, is] of attachedLines(image.attached)) {
    console.log(`${what}: ${is}`);
  }
  const debian = image.contents ? `, ${image.contents.debian.length} Debian packages` : "";
  const efficiency = `${(image.efficiency * 100).toFixed(2)} %`;
  console.log(
    `${formatBytes(image.compressedBytes)} compressed, ${formatBytes(image.storedBytes)} of files, efficiency ${efficiency}; ` +
      `${image.packages.length} Python packages${debian}. The report is ${join(folder, "report.html")}`,
  );
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
