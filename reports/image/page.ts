import { formatBytes } from "../../artifacts/text.ts";
import { attachedLines } from "./attached.ts";
import { layerChart } from "./chart.ts";
import { html } from "./html.ts";
import { proofLines } from "./proof.ts";
import type { Summary } from "./summary.ts";

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
th { border-bottom: 1px solid #8888; } td { border-bottom: 1px solid #8883; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, .hash { font: 13px ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; }
summary { cursor: pointer; }
`;

/** The report as one HTML file that needs nothing else. */
export function page(image: Summary): string {
  const wasted = image.wasted
    .slice(0, 20)
    .map((file) => [file.path, number(file.times), number(formatBytes(file.bytes))]);
  const facts: [string, string][] = [
    ["Digest", image.digest],
    ["Created", image.created],
    ["Compressed", formatBytes(image.compressedBytes)],
    ["Files in all layers", formatBytes(image.storedBytes)],
    [
      "Stored, but never seen",
      `${formatBytes(image.wastedBytes)} (efficiency ${(image.efficiency * 100).toFixed(2)} %)`,
    ],
  ];
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${html(image.reference)}</title><style>${style}</style></head>
<body>
<h1>${html(image.reference)}</h1>
${table([], facts)}
<h2>Layers</h2>
${layerChart(image)}
${table(
  ["Layer", "#Compressed", "#Share", "#Files", "#Bytes", "Digest"],
  image.layers.map((layer) => [
    layer.title,
    number(formatBytes(layer.compressedBytes)),
    number(`${(layer.share * 100).toFixed(1)} %`),
    number(layer.files),
    number(formatBytes(layer.bytes)),
    layer.digest.slice(0, 19),
  ]),
)}
<h2>Stored, but never seen</h2>
${wasted.length > 0 ? table(["Path", "#Times", "#Wasted"], wasted) : "<p>None.</p>"}
<h2>Models</h2>
${table(
  ["File", "sha256", "#Size", "From"],
  image.models.map(({ file, sha256, sizeBytes, url = "" }) => [
    file,
    sha256,
    number(sizeBytes === undefined ? "" : formatBytes(sizeBytes)),
    url,
  ]),
)}
<h2>Proof</h2>
${image.proof ? table([], proofLines(image.proof, image.measured)) : "<p>None.</p>"}
<h2>Signature and statements</h2>
${table([], attachedLines(image.attached))}
<h2>Python packages (${image.packages.length})</h2>
${table(
  ["Name", "Version", "Index", "sha256 of the download"],
  image.packages.map(({ name, version, index, sha256 }) => [name, version, index ?? "", sha256 ?? ""]),
)}
<h2>Debian packages${image.contents ? ` (${image.contents.debian.length})` : ""}</h2>
${debianTable(image.contents)}
<h2>Labels</h2>
${table([], Object.entries(image.labels))}
<h2>History</h2>
<details><summary>${image.history.length} steps</summary><ol>${image.history.map((step) => `<li><pre>${html(step)}</pre></li>`).join("")}</ol></details>
</body>
</html>
`;
}

function debianTable(contents: Summary["contents"]): string {
  if (contents === undefined) {
    return "<p>Not known: an image of an earlier version does not list them.</p>";
  }
  const { distribution, debian } = contents;
  const rows = debian.map(({ name, version, architecture, source }) => [name, version, architecture, source]);
  return `<p>${html(distribution.title)}</p>${table(["Name", "Version", "Architecture", "Source"], rows)}`;
}

interface NumberCell {
  number: string | number;
}

function number(value: string | number): NumberCell {
  return { number: value };
}

/** A table; a heading that starts with "#" stands over numbers. */
function table(headings: string[], rows: (string | NumberCell)[][]): string {
  const head = headings.map((text) =>
    text.startsWith("#") ? `<th class="number">${text.slice(1)}</th>` : `<th>${text}</th>`,
  );
  const body = rows.map((cells) => {
    const columns = cells.map((cell) =>
      typeof cell === "string" ? `<td>${html(cell)}</td>` : `<td class="number">${html(String(cell.number))}</td>`,
    );
    return `<tr>${columns.join("")}</tr>`;
  });
  return `<table>${head.length > 0 ? `<thead><tr>${head.join("")}</tr></thead>` : ""}<tbody>${body.join("\n")}</tbody></table>`;
}
