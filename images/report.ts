// `make image-report`: reads every layer of an image from its registry and writes report.json, report.html and layers.svg.
//   node images/report.ts REFERENCE [FOLDER]
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { layerChart } from "./chart.ts";
import { megabytes } from "./format.ts";
import { readImage } from "./image.ts";
import { page } from "./page.ts";
import { summarize } from "./summary.ts";

async function main([reference = "", folder = ".facecraft/image-report"]: string[]): Promise<void> {
  if (reference === "") {
    throw new Error(
      "Which image? Give its reference (repository:tag or repository@sha256:...), as the output imageRef has it.",
    );
  }
  const image = summarize(await readImage(reference));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(image, undefined, 2)}\n`);
  writeFileSync(join(folder, "report.html"), page(image));
  writeFileSync(join(folder, "layers.svg"), layerChart(image));
  for (const layer of image.layers) {
    console.log(`${megabytes(layer.compressedBytes).padStart(10)}  ${layer.digest.slice(7, 19)}  ${layer.title}`);
  }
  const efficiency = `${(image.efficiency * 100).toFixed(2)} %`;
  console.log(
    `${megabytes(image.compressedBytes)} compressed, ${megabytes(image.storedBytes)} of files, efficiency ${efficiency}; ` +
      `${image.packages.length} Python packages. The report is ${join(folder, "report.html")}`,
  );
}

await main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
