import { describe, expect, test } from "vitest";
import type { Image, Layer } from "../../registry/image.ts";
import { layerChart } from "../../reports/image/chart.ts";
import { page } from "../../reports/image/page.ts";
import { summarize, titleOf } from "../../reports/image/summary.ts";

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

test.each([
  ["COPY /layer/venv/ / # buildkit", 5, "Python packages"],
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
