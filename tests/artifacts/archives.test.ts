import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Bzip2Seams } from "../../artifacts/bzip2.ts";
import { HashingSink } from "../../artifacts/sink.ts";
import { noise, serve, sha256, staticFile, temporaryFolder } from "./server.ts";
import { trial } from "./trial.ts";

const one = Buffer.concat([noise(150_000), Buffer.alloc(150_000, "model ")]);
const two = noise(70_000);

const bzip2 = (input: Uint8Array) => execFileSync("bzip2", ["-c"], { input, maxBuffer: 1 << 26 });
const xz = (input: Uint8Array, ...args: string[]) => execFileSync("xz", ["-c", ...args], { input, maxBuffer: 1 << 26 });
const zst = (input: Uint8Array) => zstdCompressSync(input);
const gz = (input: Uint8Array) => gzipSync(input);
const zeros = (length: number) => Buffer.alloc(length);

function skippable(length: number, magic = 0x184d2a50): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(magic, 0);
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, noise(length)]);
}

afterEach(() => void vi.unstubAllEnvs());

const cat = (...parts: Uint8Array[]) => Buffer.concat(parts);
const both = cat(one, two);

// Each a file that its own tools take, and what is in it.
const good: [string, string, Buffer, Buffer][] = [
  ["bz2", "of two streams", cat(bzip2(one), bzip2(two)), both],
  ["bz2", "of an empty stream and another", cat(bzip2(zeros(0)), bzip2(one)), one],
  ["gz", "of two members", cat(gz(one), gz(two)), both],
  ["gz", "padded with zeros", cat(gz(one), zeros(512)), one],
  ["gz", "padded with megabytes of zeros", cat(gz(one), zeros(3 << 20)), one],
  ["gz", "with zeros between its members", cat(gz(one), zeros(100), gz(two)), both],
  ["xz", "of two streams", cat(xz(one), xz(two)), both],
  ["xz", "padded with zeros", cat(xz(one), zeros(8), xz(two), zeros(4)), both],
  ["xz", "of many blocks", xz(both, "--block-size=20000"), both],
  ["xz", "with the check crc32", xz(one, "--check=crc32"), one],
  ["zst", "of two frames", cat(zst(one), zst(two)), both],
  ["zst", "that begins with a skippable frame", cat(skippable(5), zst(one)), one],
  [
    "zst",
    "with skippable frames of any number everywhere",
    cat(skippable(0, 0x184d2a5f), zst(one), skippable(1 << 20), zst(two), skippable(9)),
    both,
  ],
  ["zst", "of a hundred frames", cat(...Array.from({ length: 100 }, () => zst(two))), cat(...Array(100).fill(two))],
];

// Each a file with something wrong in it.
const bad: [string, string, Buffer][] = [
  ["bz2", "with megabytes after its end", cat(bzip2(one), Buffer.alloc(5 << 20, "x"))],
  ["bz2", "with bytes between its streams", cat(bzip2(one), Buffer.from("between"), bzip2(two))],
  ["bz2", "whose second stream is cut", cat(bzip2(one), bzip2(two).subarray(0, -3))],
  ["bz2", "padded with zeros", cat(bzip2(one), zeros(16))],
  ["gz", "with megabytes after its end", cat(gz(one), Buffer.alloc(5 << 20, "x"))],
  ["gz", "with bytes after its padding", cat(gz(one), zeros(100), Buffer.from("x"))],
  ["gz", "whose second member is cut", cat(gz(one), gz(two).subarray(0, -3))],
  ["gz", "that begins with zeros", cat(zeros(4), gz(one))],
  ["xz", "with megabytes after its end", cat(xz(one), Buffer.alloc(5 << 20, "x"))],
  ["xz", "padded with a number of zeros that is no multiple of four", cat(xz(one), zeros(3))],
  ["xz", "with the check sha256, which is not supported", xz(one, "--check=sha256")],
  ["zst", "with megabytes after its end", cat(zst(one), Buffer.alloc(5 << 20, "x"))],
  ["zst", "whose second frame is cut", cat(zst(one), zst(two).subarray(0, -3))],
  ["zst", "whose last skippable frame is cut", cat(zst(one), skippable(100).subarray(0, 50))],
  ["zst", "whose last magic number is cut", cat(zst(one), skippable(100).subarray(0, 3))],
  ["zst", "padded with zeros", cat(zst(one), zeros(16))],
  ["zst", "of a skippable frame only", skippable(100)],
];

const engines = ["lbzip2", "bunzip2", "unbzip2-stream"].filter(
  (name) => name === "unbzip2-stream" || spawnSync(name, ["--help"], { stdio: "ignore" }).status === 0,
);

/** Decodes in pieces of this size, which decide what a decoder sees at once. */
async function decode(format: string, bytes: Buffer, size: number): Promise<string> {
  const sink = await HashingSink.open({ format: format as "bz2", maxBytes: 1e9 });
  try {
    for (let at = 0; at < bytes.length; at += size) {
      await sink.write(bytes.subarray(at, at + size));
    }
    return (await sink.finish()).sha256;
  } finally {
    await sink.abandon();
  }
}

describe.each(engines)("with bzip2 by %s", (engine) => {
  const mine = ([format]: readonly unknown[]) => engine === engines[0] || format === "bz2";

  test.each(good.filter(mine))(
    "a .%s file %s is decoded, however it arrives",
    async (format, _what, bytes, content) => {
      vi.stubEnv("FACECRAFT_BZIP2", engine);
      for (const size of [1 << 16, 1009]) {
        expect(await decode(format, bytes, size)).toBe(sha256(content));
      }
    },
  );

  test.each(bad.filter(mine))("a .%s file %s is refused, however it arrives", async (format, _what, bytes) => {
    vi.stubEnv("FACECRAFT_BZIP2", engine);
    for (const size of [1 << 16, 1009]) {
      await expect(decode(format, bytes, size)).rejects.toThrow(
        /corrupt or cut short|do not belong to it|is not \.\w+ data/,
      );
    }
  });
});

/** A program of this name that comes before all others. */
function fake(name: string, script: string): void {
  const folder = temporaryFolder();
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
  vi.stubEnv("FACECRAFT_BZIP2", name);
}

test("a decoder that is content before its input ends is not waited for, and what follows is refused", async () => {
  // As lbzip2 does with megabytes that follow the data: it stops reading, and ends well.
  fake("lbzip2", "head -c 1000 >/dev/null; exit 0");
  const server = await serve(staticFile(cat(bzip2(one), Buffer.alloc(8 << 20, "x"))));
  await trial().refuses(`${server.url}/m.dat.bz2`, one, "is followed by bytes that do not belong to it");
});

test("a decoder that dies, or cannot be run, is told", async () => {
  const server = await serve(staticFile(bzip2(one)));
  fake("bunzip2", "kill -9 $$");
  await trial().refuses(`${server.url}/m.dat.bz2`, one, "bunzip2 ended with SIGKILL");
  fake("bunzip2", "exit 3");
  await trial().refuses(`${server.url}/m.dat.bz2`, one, "bunzip2 ended with 3");
  vi.stubEnv("PATH", temporaryFolder());
  const error = await trial().refuses(`${server.url}/m.dat.bz2`, one, "bunzip2 could not be run (ENOENT)");
  expect(error.code).toBe("setup");
});

test.each(["BZIP2", "BZIP", "LBZIP2"])("options that %s would add to the decoder do not reach it", async (name) => {
  const server = await serve(staticFile(bzip2(one)));
  vi.stubEnv(name, "-v --nonsense");
  for (const engine of engines) {
    vi.stubEnv("FACECRAFT_BZIP2", engine);
    expect(readFileSync((await trial().fetch(`${server.url}/m.dat.bz2`, one)).path)).toEqual(one);
  }
});

test("what a decoder says beside its work is no judgement", async () => {
  const real = execFileSync("which", ["bunzip2"], { encoding: "utf8" }).trim();
  fake("bunzip2", `echo "a word" >&2; exec ${real} "$@"`);
  const server = await serve(staticFile(bzip2(one)));
  await trial().fetch(`${server.url}/m.dat.bz2`, one);
});

test("a stop ends a decoder that does not end by itself", async () => {
  fake("lbzip2", "cat >/dev/null; sleep 600");
  const server = await serve(staticFile(bzip2(one)));
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error("stopped")), 500);
  await expect(trial().fetch(`${server.url}/m.dat.bz2`, one, { signal: abort.signal })).rejects.toThrow("stopped");
});

test("the seams of bzip2 streams are seen wherever the chunks are cut", () => {
  const fitting = cat(bzip2(one), bzip2(two), bzip2(one));
  const gaping = cat(bzip2(one), bzip2(two), Buffer.from("x"), bzip2(one));
  for (const size of [1, 7, 31, 32, 33, 64, 65, 1000, 100_000]) {
    for (const [bytes, fits] of [
      [fitting, true],
      [gaping, false],
    ] as const) {
      const look = () => {
        const seams = new Bzip2Seams();
        for (let at = 0; at < bytes.length; at += size) {
          seams.feed(bytes.subarray(at, at + size));
        }
        seams.end();
      };
      if (fits) {
        look();
      } else {
        expect(look).toThrow("do not belong to it");
      }
    }
  }
});
