import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { say } from "../../local/say.ts";
import { timed } from "../../local/timeline.ts";

let folder: string;
let written: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-timeline-"));
  vi.stubEnv("FACECRAFT_CACHE", folder);
  written = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const durations = () => JSON.parse(readFileSync(join(folder, "durations.json"), "utf8"));

/** The lines that a terminal shows in the end, which knows no more than to go up and to erase what is below. */
function screen(): string[] {
  const lines: string[] = [];
  for (const text of written) {
    const up = /^.\[(\d+)A.\[J$/.exec(text)?.[1];
    if (up === undefined) {
      lines.push(...text.split("\n").slice(0, -1));
    } else {
      lines.length -= Number(up);
    }
  }
  return lines;
}

describe("in a log, a step", () => {
  beforeEach(() => {
    Object.defineProperty(process.stderr, "isTTY", { value: false, configurable: true });
  });

  test("has a line at its beginning, which says how long it took the last time", async () => {
    expect(await timed("making bread", async () => "bread")).toBe("bread");
    writeFileSync(join(folder, "durations.json"), '{"making bread":93.4}');
    await timed("making bread", async () => {});
    expect(written).toEqual(["[local] making bread\n", "[local] making bread (93 s last time)\n"]);
  });

  test("that fails leaves no time behind", async () => {
    await expect(
      timed("making bread", async () => {
        throw new Error("no flour");
      }),
    ).rejects.toThrow("no flour");
    expect(durations).toThrow();
  });

  test("is told without times where what is kept of them is no JSON, and where nothing can be kept", async () => {
    writeFileSync(join(folder, "durations.json"), "{");
    await timed("making bread", async () => {});
    expect(durations()).toEqual({ "making bread": 0 });
    vi.stubEnv("FACECRAFT_CACHE", join(folder, "durations.json", "none"));
    await timed("making bread", async () => {});
    expect(written).toEqual(["[local] making bread\n", "[local] making bread\n"]);
  });
});

describe("on a terminal", () => {
  beforeEach(() => {
    Object.defineProperty(process.stderr, "isTTY", { value: true, configurable: true });
    Object.defineProperty(process.stderr, "columns", { value: 60, configurable: true });
  });
  afterEach(() => {
    Object.defineProperty(process.stderr, "isTTY", { value: false, configurable: true });
  });

  test("what runs stands below what is done, and messages above both", async () => {
    writeFileSync(join(folder, "durations.json"), `{"making bread":93.4}`);
    let shown: string[] = [];
    await Promise.all([
      timed("making bread", async () => {
        await sleep(60);
        shown = screen();
      }),
      timed("making soup", async () => {
        await sleep(20);
        say("the soup needs salt");
      }),
    ]);
    expect(shown).toEqual([
      "[local] the soup needs salt",
      expect.stringMatching(/^\[local\] making soup: done in 0\.\d s$/),
      expect.stringMatching(/^\[local\] … making bread \(0\.\d s, 93 s last time\)$/),
    ]);
    say("lunch");
    expect(screen()).toEqual([
      ...shown.slice(0, 2),
      expect.stringMatching(/^\[local\] making bread: done in 0\.\d s$/),
      "[local] lunch",
    ]);
  });

  test("a line that is longer than the terminal is cut, so that it can be erased", async () => {
    await timed(`making ${"very ".repeat(30)}good bread`, async () => {
      expect(screen().at(-1)).toHaveLength(59);
    });
  });
});
