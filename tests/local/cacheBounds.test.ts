import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cacheBounds, spaceOf } from "../../local/cacheBounds.ts";

const gigabytes = (count: number) => count * 1e9;

function boundsOf(total: number, free: number, available: number): Record<string, number> {
  const space = { total: gigabytes(total), free: gigabytes(free), available: gigabytes(available) };
  const lines = cacheBounds("", space).map((line) => /^(\w+) = "(\d+)"$/.exec(line) ?? []);
  return Object.fromEntries(lines.map(([, key, bytes]) => [key, Number(bytes) / 1e9]));
}

test.each([
  ["a large disk", 1000, 600, 600, { minFreeSpace: 15, reservedSpace: 5 }],
  ["a small disk", 20, 12, 12, { minFreeSpace: 3, reservedSpace: 4 }],
  [
    "a large disk, most of which is set aside for somebody else",
    252,
    186,
    26,
    { minFreeSpace: 173.8, reservedSpace: 5 },
  ],
])("of %s, a cache leaves a part to everything else", (_, total, free, available, bounds) => {
  expect(boundsOf(total, free, available)).toEqual(bounds);
});

test("the bound stays the same while the disk fills", () => {
  for (const used of [0, 20, 40, 50]) {
    expect(boundsOf(100, 100 - used, 60 - used)).toEqual(boundsOf(100, 100, 60));
  }
});

test("BuildKit cleans up before what may be used runs out, not before what is free does", () => {
  for (const setAside of [0, 5, 50]) {
    // BuildKit evicts from here on: when all that is free is less than this.
    const { minFreeSpace = 0 } = boundsOf(100, 100, 100 - setAside);
    expect(minFreeSpace - setAside).toBeGreaterThan(5);
  }
});

test("what is read is the disk of the folder, which is made for that", () => {
  const top = mkdtempSync(join(tmpdir(), "facecraft-bounds-"));
  try {
    const { total, free, available } = spaceOf(join(top, "not", "there"));
    const { blocks, bsize } = statfsSync(top);
    expect(total).toBe(blocks * bsize);
    expect(free).toBeGreaterThanOrEqual(available);
    expect(free).toBeLessThan(total);
  } finally {
    rmSync(top, { recursive: true });
  }
});
