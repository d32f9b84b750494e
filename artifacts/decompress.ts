import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { PassThrough, Readable, Transform, Writable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from "node:zlib";
import { ArtifactError } from "./errors.ts";

export type Format = "bz2" | "gz" | "xz" | "zst" | "none";

const magic: Record<Exclude<Format, "none">, readonly number[]> = {
  bz2: [0x42, 0x5a, 0x68],
  gz: [0x1f, 0x8b],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  zst: [0x28, 0xb5, 0x2f, 0xfd],
};

/** The compression that the URL's suffix announces: `.bz2`, `.gz`, `.xz`, `.zst`, or none. */
export function formatOf(url: string): Format {
  const suffix = /\.(bz2|gz|xz|zst)$/i.exec(new URL(url).pathname)?.[1];
  return suffix === undefined ? "none" : (suffix.toLowerCase() as Format);
}

/** Whether a body that starts like this can be of that format; asked with the first bytes there are. */
export function startsLike(format: Format, start: Uint8Array): boolean {
  return format === "none" || magic[format].every((byte, i) => i >= start.length || start[i] === byte);
}

/** A started decoder. It fails on whatever is not exactly one whole compressed file. */
export interface Decoder {
  /** Takes the compressed bytes. */
  input: NodeJS.WritableStream;
  /** Gives the decoded bytes. */
  output: Readable;
  /** Settles when all went well; rejects with an ArtifactError for corrupt, truncated or trailing bytes. */
  done: Promise<void>;
  /** Stops it at once. */
  kill(): void;
}

const bzip2Programs = ["lbzip2", "bunzip2"] as const;
export type Bzip2Engine = (typeof bzip2Programs)[number] | "unbzip2-stream";

let chosen: Bzip2Engine | undefined;

/**
 * What decodes bzip2 on this machine: lbzip2 on all cores, else bunzip2, else a library in JavaScript (a third of the
 * speed). FACECRAFT_BZIP2 overrides.
 */
export function bzip2Engine(): Bzip2Engine {
  const wanted = process.env.FACECRAFT_BZIP2;
  if (wanted === "lbzip2" || wanted === "bunzip2" || wanted === "unbzip2-stream") return wanted;
  chosen ??=
    bzip2Programs.find((name) => spawnSync(name, ["--help"], { stdio: "ignore" }).status === 0) ?? "unbzip2-stream";
  return chosen;
}

export async function decoder(format: Exclude<Format, "none">): Promise<Decoder> {
  if (format === "gz") return fromZlib(format, createGunzip());
  if (format === "zst") return fromZlib(format, createZstdDecompress());
  if (format === "xz") return unxz();
  const engine = bzip2Engine();
  if (engine !== "unbzip2-stream") return fromProgram(engine);
  // Libraries are loaded only when they are needed: together they cost more memory than a download.
  const { default: unbzip2 } = await import("unbzip2-stream");
  const old = unbzip2();
  // Not Readable.wrap: it drops what is not yet read when a stream of the old kind closes.
  return fromTransform("bz2", old, old.pipe(new PassThrough()));
}

/**
 * Whether a bzip2 file that ends with these bytes (at least 11) ends where its stream ends: 48 bits of end mark, 32 bits
 * of checksum, and less than a byte of padding. lbzip2 says nothing about bytes that follow.
 */
export function endsLikeBzip2(tail: Uint8Array): boolean {
  let bits = 0n;
  for (const byte of tail.subarray(-11)) bits = (bits << 8n) | BigInt(byte);
  for (let padding = 0n; padding < 8n; padding++) {
    if (((bits >> (padding + 32n)) & 0xffffffffffffn) === 0x177245385090n) return true;
  }
  return false;
}

function corrupt(format: Format, detail: string): ArtifactError {
  return new ArtifactError("corrupt", `the .${format} data is corrupt or cut short (${detail})`);
}

function fromTransform(format: Format, input: NodeJS.ReadWriteStream, output = input as unknown as Readable): Decoder {
  const done = new Promise<void>((resolve, reject) => {
    output.once("end", resolve);
    output.once("close", () => reject(corrupt(format, "stopped")));
    for (const stream of new Set([input, output])) {
      stream.on("error", (error: Error) => {
        reject(corrupt(format, error.message));
        output.destroy();
      });
    }
  });
  return { input, output, done, kill: () => output.destroy() };
}

/** zlib silently ignores what follows the last member or frame, so the bytes that it consumed are counted. */
function fromZlib(format: "gz" | "zst", stream: Gunzip | ZstdDecompress): Decoder {
  let written = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      written += chunk.length;
      next(null, chunk);
    },
  });
  counter.pipe(stream);
  const { done, output, kill } = fromTransform(format, stream);
  const counted = done.then(() => {
    if (stream.bytesWritten !== written) throw corrupt(format, "there are bytes after its end");
  });
  return { input: counter, output, done: counted, kill };
}

/** liblzma as WebAssembly, behind the web streams that it is written for. */
async function unxz(): Promise<Decoder> {
  const { default: xz } = await import("xz-decompress");
  const input = new TransformStream<Uint8Array, Uint8Array>();
  const decoded = new xz.XzReadableStream(input.readable as never) as unknown as NodeReadableStream;
  const output = Readable.fromWeb(decoded);
  const { done, kill } = fromTransform("xz", output as never);
  const writable = Writable.fromWeb(input.writable).on("error", () => {});
  return { input: writable, output, done, kill };
}

/** An external bzip2: its exit code and what it says on stderr are the judgement. */
function fromProgram(name: "lbzip2" | "bunzip2"): Decoder {
  const child = spawn(name, name === "lbzip2" ? ["-dc"] : ["-c"], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(0, 2000);
  });
  // A program that gave up closes its input; its exit code is the error to report.
  child.stdin.on("error", () => {});
  const done = once(child, "close").then(
    ([code, signal]) => {
      const text = said.trim().replace(/\s+/g, " ");
      // bunzip2 warns about trailing bytes and still exits with 0.
      if (code !== 0 || text !== "") throw corrupt("bz2", text || `${name} ended with ${signal ?? code}`);
    },
    (error: Error) => {
      throw corrupt("bz2", `${name} could not be run: ${error.message}`);
    },
  );
  return { input: child.stdin, output: child.stdout, done, kill: () => child.kill("SIGKILL") };
}
