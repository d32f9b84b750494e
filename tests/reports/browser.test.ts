import { mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { page } from "../../reports/image/page.ts";
import type { Summary } from "../../reports/image/summary.ts";
import { browserPath, unseen } from "../chromium.ts";

const summary: Summary = {
  ...{
    reference: "example.com/facecraft:cpu",
    digest: "sha256:1",
    created: "",
    compressedBytes: 3e8,
    storedBytes: 5e8,
  },
  ...{
    wastedBytes: 0,
    efficiency: 1,
    wasted: [],
    packages: [],
    models: [],
    proof: undefined,
    measured: {},
    contents: undefined,
    attached: [],
    labels: {},
    history: [],
  },
  layers: [1e8, 2e8].map((bytes, index) => ({
    ...{
      digest: `sha256:${index}`,
      title: `layer ${index}`,
      compressedBytes: bytes,
      bytes,
      files: 1,
      share: bytes / 3e8,
    },
  })),
};

// Measures in the page itself: every bar and every text of the chart lies inside it, and nothing scrolls sideways.
const measure = `<script>addEventListener("load", () => {
  const chart = document.querySelector("svg").getBoundingClientRect();
  const inside = [...document.querySelectorAll("svg rect, svg text")].every((one) => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && box.left >= chart.left - 1 && box.right <= chart.right + 1 && box.bottom <= chart.bottom + 1;
  });
  document.title = inside && document.documentElement.scrollWidth <= innerWidth ? "fits" : "does not fit";
});</script>`;

test.skipIf(browserPath === undefined).each([1000, 400])(
  `the report fits a browser window %d pixels wide${unseen}`,
  async (width) => {
    const folder = mkdtempSync(join(tmpdir(), "facecraft-report-"));
    const [file, picture] = [join(folder, "report.html"), join(folder, "report.png")];
    writeFileSync(file, page(summary).replace("</body>", `${measure}</body>`));
    const options = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      `--user-data-dir=${folder}/profile`,
      `--window-size=${width},900`,
    ];
    const dom = await output(browserPath as string, [...options, "--dump-dom", pathToFileURL(file).href]);
    expect(dom).toContain("<title>fits</title>");
    await output(browserPath as string, [...options, `--screenshot=${picture}`, pathToFileURL(file).href]);
    expect(statSync(picture).size).toBeGreaterThan(5_000);
  },
);
