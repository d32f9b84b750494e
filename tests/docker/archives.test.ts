import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { measure } from "../../artifacts/measure.ts";
import { root } from "../../local/paths.ts";

const folder = mkdtempSync(join(tmpdir(), "facecraft-archives-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i < 150_000 ? i % 9 : (i * i * 7919) >> 3) & 255));
const pin = createHash("sha256").update(text).digest("hex");
const half = text.length >> 1;

/** Whether the engine, which verifies a model before the build, takes the archive for the text. */
async function engineTakes(file: string): Promise<boolean> {
  const measured = await measure(pathToFileURL(file).href).catch(() => undefined);
  return measured !== undefined && !measured.notModified && measured.sha256 === pin;
}

/** Whether the build does. */
function buildTakes(file: string, format: string): boolean {
  const layer = mkdtempSync(join(folder, "layer-"));
  const args = [
    join(root, "docker/scripts/place_model.py"),
    file,
    `https://example.org/model.${format}`,
    pin,
    "/a/model",
    layer,
    `${layer}-placed`,
  ];
  const { status, stderr } = spawnSync("python3", ["-B", ...args], { encoding: "utf8" });
  expect(stderr).not.toContain("Traceback");
  return status === 0;
}

const compressors: Record<string, (bytes: Buffer) => Buffer> = {
  bz2: (input) => execFileSync("python3", ["-c", filter("bz2")], { input }),
  xz: (input) => execFileSync("python3", ["-c", filter("lzma")], { input }),
  gz: (input) => gzipSync(input),
  zst: (input) => zstdCompressSync(input),
};

function filter(module: string): string {
  return `import sys, ${module}; sys.stdout.buffer.write(${module}.compress(sys.stdin.buffer.read()))`;
}

const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 0x40 : byte)));

/** What can be wrong, or unusual, with a compressed file. */
function archives(compress: (bytes: Buffer) => Buffer): Record<string, Buffer> {
  const whole = compress(text);
  const [first, second] = [compress(text.subarray(0, half)), compress(text.subarray(half))];
  const followedBy = (...more: Buffer[]) => Buffer.concat([whole, ...more]);
  return {
    whole: whole,
    "in two members": Buffer.concat([first, second]),
    "in two members with zeros between": Buffer.concat([first, Buffer.alloc(8), second]),
    "after an empty member": Buffer.concat([compress(Buffer.alloc(0)), whole]),
    "before an empty member": followedBy(compress(Buffer.alloc(0))),
    "followed by text": followedBy(Buffer.from("and more bytes than any format's end has")),
    "followed by one byte": followedBy(Buffer.from("x")),
    "followed by three zeros": followedBy(Buffer.alloc(3)),
    "followed by four zeros": followedBy(Buffer.alloc(4)),
    "followed by a block of zeros": followedBy(Buffer.alloc(512)),
    "followed by half of itself": followedBy(whole.subarray(0, whole.length >> 1)),
    "followed by its own first bytes": followedBy(whole.subarray(0, 4)),
    "after one byte": Buffer.concat([Buffer.from("x"), whole]),
    "cut in half": whole.subarray(0, whole.length >> 1),
    "cut by one byte": whole.subarray(0, -1),
    "cut after its header": whole.subarray(0, 6),
    "with a flipped bit in the middle": flipped(whole, whole.length >> 1),
    "with a flipped bit near its end": flipped(whole, whole.length - 3),
    empty: Buffer.alloc(0),
    "not compressed": text,
  };
}

/** The text as python3's lzma compresses it with these options. */
function xz(options: string): Buffer {
  const code = `import sys, lzma; sys.stdout.buffer.write(lzma.compress(sys.stdin.buffer.read(), ${options}))`;
  return execFileSync("python3", ["-c", code], { input: text });
}

/** A frame of zstd that is to be skipped: any of sixteen numbers, and the length of what is in it. */
const skipped = Buffer.from([0x5c, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

describe.each(Object.entries(compressors))("a .%s file", (format, compress) => {
  const cases = Object.entries({
    ...archives(compress),
    ...(format === "xz" && {
      "with the check sha256": xz("check=lzma.CHECK_SHA256"),
      "without a check": xz("check=lzma.CHECK_NONE"),
      "with another check in its second stream": Buffer.concat([compress(text), xz("check=lzma.CHECK_SHA256")]),
      "with a filter": xz("filters=[{'id': lzma.FILTER_DELTA}, {'id': lzma.FILTER_LZMA2}]"),
      "with the largest dictionary": xz("filters=[{'id': lzma.FILTER_LZMA2, 'dict_size': 1 << 26}]"),
      "with a larger dictionary": xz("filters=[{'id': lzma.FILTER_LZMA2, 'dict_size': 1 << 27}]"),
    }),
    ...(format === "zst" && {
      "after a frame to skip": Buffer.concat([skipped, compress(text)]),
      "before a frame to skip": Buffer.concat([compress(text), skipped]),
      "before half a frame to skip": Buffer.concat([compress(text), skipped.subarray(0, 9)]),
    }),
  });

  test.each(cases)("%s is taken, or refused, by the engine and in the build alike", async (name, bytes) => {
    const file = join(folder, `${name.replaceAll(" ", "-")}.${format}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, bytes);
    expect(buildTakes(file, format)).toBe(await engineTakes(file));
  });

  test("whole is taken", async () => {
    const file = join(folder, `right.${format}`);
    writeFileSync(file, compress(text));
    expect([buildTakes(file, format), await engineTakes(file)]).toEqual([true, true]);
  });
});
