import { formatBytes } from "../../artifacts/text.ts";
import { html } from "./html.ts";
import type { Summary } from "./summary.ts";

const row = 28;
const label = 200;
const bars = 420;
const numbers = 150;

/** One bar for each layer, in the image's order, as long as what a registry sends for it. Readable on light and dark. */
export function layerChart({ layers, compressedBytes }: Summary): string {
  const largest = Math.max(...layers.map((layer) => layer.compressedBytes), 1);
  const height = layers.length * row + 8;
  const lines = layers.map((layer, index) => {
    const y = index * row + 4;
    const width = Math.max((layer.compressedBytes / largest) * bars, 1.5);
    const share = `${(layer.share * 100).toFixed(1)} %`;
    const hint = `${layer.title}: ${formatBytes(layer.compressedBytes)} compressed, ${share}; ${formatBytes(layer.bytes)} in ${layer.files} files`;
    return [
      `<g><title>${html(hint)}</title>`,
      `<text x="${label - 8}" y="${y + 17}" text-anchor="end">${html(layer.title)}</text>`,
      `<rect x="${label}" y="${y + 4}" width="${width.toFixed(1)}" height="${row - 10}" rx="2"/>`,
      `<text x="${(label + width + 8).toFixed(1)}" y="${y + 17}" class="number">${formatBytes(layer.compressedBytes)} · ${share}</text></g>`,
    ].join("");
  });
  const title = `Layers of the image, ${formatBytes(compressedBytes)} compressed`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${label + bars + numbers} ${height}" role="img" aria-label="${title}">`,
    "<style>text{font:13px system-ui,sans-serif;fill:#222}.number{fill:#555}rect{fill:#3b6fb6}",
    "@media(prefers-color-scheme:dark){text{fill:#eee}.number{fill:#bbb}rect{fill:#7aa7e0}}</style>",
    ...lines,
    "</svg>",
  ].join("\n");
}
