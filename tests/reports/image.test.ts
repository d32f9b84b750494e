import { describe, expect, test } from "vitest";
import { models } from "../../plan/models.ts";
import type { Attached } from "../../registry/attached.ts";
import type { Contents } from "../../registry/contents.ts";
import type { Image, Layer } from "../../registry/image.ts";
import type { ProofRecord } from "../../registry/record.ts";
import { attachedLines } from "../../reports/image/attached.ts";
import { layerChart } from "../../reports/image/chart.ts";
import { page } from "../../reports/image/page.ts";
import { proofLines } from "../../reports/image/proof.ts";
import { summarize, titleOf } from "../../reports/image/summary.ts";
import { facts } from "../attest/made.ts";

function layer(files: Record<string, number>, removed: string[] = [], madeBy = ""): Layer {
  const stored = Object.entries(files).map(([path, bytes]) => ({ path, bytes }));
  const bytes = stored.reduce((sum, file) => sum + file.bytes, 0);
  return { digest: `sha256:${"0".repeat(64)}`, madeBy, compressedBytes: bytes, bytes, files: stored, removed };
}

function image(layers: Layer[], documents: Record<string, string> = {}): Image {
  return {
    ...{ reference: "example.com/facecraft:cpu", digest: `sha256:${"1".repeat(64)}`, created: "2026-01-01T00:00:00Z" },
    ...{ labels: {}, config: {}, history: [], layers, documents: new Map(Object.entries(documents)) },
  };
}

describe("wasted bytes", () => {
  test("are none when every file is stored once", () => {
    expect(summarize(image([layer({ a: 10 }), layer({ b: 20 })]))).toMatchObject({ wastedBytes: 0, efficiency: 1 });
  });

  test("are what a later layer stores again, as `chown -R` does", () => {
    const summary = summarize(image([layer({ "app/model": 100 }), layer({ "app/model": 100 })]));
    expect(summary).toMatchObject({ storedBytes: 200, wastedBytes: 100, efficiency: 0.5 });
    expect(summary.wasted).toEqual([{ path: "app/model", bytes: 100, times: 2 }]);
  });

  test("are what a later layer removes, a folder with all that is in it", () => {
    const summary = summarize(image([layer({ "wheels/a": 30, "wheels/b": 40, wheelsmith: 1 }), layer({}, ["wheels"])]));
    expect(summary.wastedBytes).toBe(70);
  });
});

test("the documents in an image say its packages, models and proof", () => {
  const documents = {
    "usr/share/facecraft/packages.json": '[{"name":"torch","version":"2.0.1+cpu","index":"torch"}]',
    "usr/share/facecraft/models/codeformer.pth.sha256": `${"a".repeat(64)}  /app/models/codeformer/codeformer.pth\n`,
    "usr/share/facecraft/proof.json": '{"torch":"2.0.1+cpu","cuda":null,"boot":"passed"}',
  };
  const summary = summarize(image([layer({})], documents));
  expect(summary.packages).toEqual([{ name: "torch", version: "2.0.1+cpu", index: "torch" }]);
  expect(summary.models).toEqual([{ file: "/app/models/codeformer/codeformer.pth", sha256: "a".repeat(64) }]);
  expect(summary.proof).toMatchObject({ boot: "passed" });
});

describe("what the image says that it is made of", () => {
  const contents = facts.contents as Contents;
  const [codeformer] = contents.models as [Contents["models"][number]];
  const documents = {
    "usr/share/facecraft/contents.json": JSON.stringify(contents),
    "usr/share/facecraft/models/codeformer.pth.sha256": `${codeformer.sha256}  ${codeformer.file}\n`,
  };

  test("stands on the page, with where the models came from", () => {
    const summary = summarize(image([layer({})], documents));
    const { title: _, ...model } = codeformer;
    expect(summary.models).toEqual([model]);
    expect(summary.contents).toEqual(contents);
    const html = page(summary);
    expect(html).toContain(`<td class="number">376.6 MB</td><td>${codeformer.url}</td>`);
    expect(html).toContain("<h2>Debian packages (4)</h2>\n<p>Debian GNU/Linux 12 (bookworm)</p>");
    expect(html).toContain("<tr><td>zlib1g</td><td>1:1.2.13.dfsg-1</td><td>amd64</td><td>zlib1g</td></tr>");
    expect(page(summarize(image([layer({})])))).toContain("Not known: an image of an earlier version");
  });

  test("is told with what is attached to it, and what is not", () => {
    const [signature, sbom, other] = ["1", "2", "3"].map((digit) => `sha256:${digit.repeat(64)}`) as [
      string,
      string,
      string,
    ];
    const attached: Attached[] = [
      { digest: signature, kind: "signature" },
      { digest: sbom, kind: "cyclonedx" },
      { digest: other, kind: "other" },
    ];
    expect(attachedLines(attached)).toEqual([
      ["Signature", signature],
      ["Bill of materials (CycloneDX)", sbom],
      ["Provenance (SLSA)", "none"],
      ["Something else", other],
    ]);
    expect(page(summarize(image([layer({})], documents), attached))).toContain(
      `<tr><td>Signature</td><td>${signature}</td></tr>`,
    );
  });
});

describe("what an image says of its proof", () => {
  const older: ProofRecord = { torch: "2.0.1+cpu", cuda: null, models: {}, packages: {}, boot: "passed" };
  const [predictor, codeformer] = [models.shapePredictor.file, models.codeformer.file];

  test("is told row by row", () => {
    const gpu = { name: "NVIDIA A10", capability: "8.6", driver: "535.104.05", provider: "CUDAExecutionProvider" };
    const record: ProofRecord = {
      ...{
        ...older,
        torch: "2.0.1+cu118",
        cuda: "11.8",
        onnxruntime: "1.18.1",
        portrait: "passed",
        network: "silent",
        gpu,
      },
      ...{ modelsOpened: [predictor, "/app/models/other"], unusedModels: [codeformer], environment: { A: "1" } },
    };
    const measured = { readySeconds: 1.84, peakMemoryBytes: 412_345_678, portraitSeconds: 0.8 };
    expect(proofLines(record, measured)).toEqual([
      ["Libraries", "torch 2.0.1+cu118, CUDA 11.8, onnxruntime 1.18.1"],
      ["Boot", "passed"],
      ["Portrait", "passed, answered in 0.8 s"],
      ["Models opened", "shape predictor, /app/models/other"],
      ["Models that nobody opened", "CodeFormer"],
      ["Network", "silent"],
      ["Environment of the proof", "A=1"],
      ["GPU", "NVIDIA A10 (compute capability 8.6), driver 535.104.05, CUDAExecutionProvider"],
      ["Ready after", "1.8 s"],
      ["Memory at most", "412.3 MB"],
    ]);
    const off: ProofRecord = {
      ...{ ...older, portrait: "off", network: "off", gpu: null },
      ...{ modelsOpened: [], unusedModels: [], environment: {} },
    };
    expect(proofLines(off, {}).slice(2)).toEqual([
      ["Portrait", "off"],
      ["Models opened", "none"],
      ["Network", "off"],
      ["GPU", "not proven on one"],
    ]);
  });

  test("is less for an image of an earlier version", () => {
    expect(proofLines(older, {})).toEqual([
      ["Libraries", "torch 2.0.1+cpu, CUDA none"],
      ["Boot", "passed"],
    ]);
  });

  test("stands on the page, where there is any", () => {
    const documents = {
      "usr/share/facecraft/proof.json": JSON.stringify({ ...older, portrait: "passed" }),
      "usr/share/facecraft/measured.json": '{"readySeconds":1.84}',
    };
    const html = page(summarize(image([layer({})], documents)));
    expect(html).toContain("<tr><td>Portrait</td><td>passed</td></tr>");
    expect(html).toContain("<tr><td>Ready after</td><td>1.8 s</td></tr>");
    expect(page(summarize(image([layer({})])))).toContain("<h2>Proof</h2>\n<p>None.</p>");
  });
});

test.each([
  ["COPY /tmp/proof/ / # buildkit", 9, "record of the proof"],
  ["COPY /tmp/measured/ / # buildkit", 8, "measurements of the proof"],
  ["COPY /layer/venv/ / # buildkit", 5, "Python packages"],
  ["COPY /layer/warm/ / # buildkit", 6, "compiled in the build"],
  ["COPY /layer/commands/ / # buildkit", 4, "command and health check"],
  ["COPY /layer/codeformer/ / # buildkit", 3, "model codeformer"],
  ["RUN /bin/sh -c apt-get install --yes x # buildkit", 1, "system packages"],
  ["anything", 0, "base image"],
])("the layer made by %s is called what it is", (madeBy, index, title) => {
  expect(titleOf(madeBy, index)).toBe(title);
});

test("the page is whole in itself, and what an image says cannot break out of it", () => {
  const html = page(summarize(image([layer({ a: 1 }, [], "<script>alert(1)</script>"), layer({ b: 1 }, [], "<b>")])));
  expect(html).not.toMatch(/<script|<link|src=|href=/);
  expect(html).toContain("&lt;b&gt;");
});

test("the chart has a bar for each layer, also for an empty one", () => {
  const svg = layerChart(summarize(image([layer({ a: 1_000_000 }), layer({})])));
  expect(svg.match(/<rect /g)).toHaveLength(2);
  expect(svg).toContain("1.0 MB · 100.0 %");
});
