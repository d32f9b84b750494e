import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { PassThrough, type Writable } from "node:stream";
import { corrupt, type Decoder, trailing } from "./decoder.ts";
import { ArtifactError, errorCode } from "./errors.ts";

const programs = ["lbzip2", "bunzip2"] as const;
export type Bzip2Engine = (typeof programs)[number] | "unbzip2-stream";

let chosen: Bzip2Engine | undefined;

/**
 * What decodes bzip2 on this machine: lbzip2 on all cores, else bunzip2, else a library in JavaScript (a third of the
 * speed). FACECRAFT_BZIP2 overrides.
 */
export function bzip2Engine(): Bzip2Engine {
  const wanted = process.env.FACECRAFT_BZIP2;
  if (wanted === "lbzip2" || wanted === "bunzip2" || wanted === "unbzip2-stream") {
    return wanted;
  }
  chosen ??= programs.find((name) => spawnSync(name, ["--help"], options()).status === 0) ?? "unbzip2-stream";
  return chosen;
}

export async function unbzip2(): Promise<Decoder> {
  const engine = bzip2Engine();
  return engine === "unbzip2-stream" ? fromLibrary() : fromProgram(engine);
}

/** BZIP, BZIP2 and LBZIP2 would add options of their own, and a language other words. */
function options() {
  const { PATH = "", TMPDIR, SystemRoot } = process.env;
  const env = { PATH, LC_ALL: "C", ...(TMPDIR ? { TMPDIR } : {}), ...(SystemRoot ? { SystemRoot } : {}) };
  return { env, stdio: ["pipe", "pipe", "pipe"] as ["pipe", "pipe", "pipe"] };
}

function fromProgram(name: (typeof programs)[number]): Decoder {
  const child = spawn(name, name === "lbzip2" ? ["-dc"] : ["-c"], options());
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(0, 2000);
  });
  // A program that gave up closes its input; its exit code is the error to report.
  child.stdin.on("error", () => {});
  const done = once(child, "close").then(
    ([code, signal]) => {
      // The first line says what is wrong; bunzip2 goes on to give advice.
      const text = said.trim();
      if (code !== 0) {
        throw corrupt("bz2", text.split(/\s*\n/)[0] || `${name} ended with ${signal ?? code}`);
      }
      // bunzip2 only warns about it.
      if (/trailing garbage/.test(text)) {
        throw trailing("bz2");
      }
    },
    (error: unknown) => {
      throw new ArtifactError("setup", `${name} could not be run (${errorCode(error)})`);
    },
  );
  return { input: child.stdin, output: child.stdout, done, kill: () => child.kill("SIGKILL") };
}

async function fromLibrary(): Promise<Decoder> {
  // Libraries are loaded only when they are needed: together they cost more memory than a download.
  const { default: library } = await import("unbzip2-stream");
  const input = library();
  // Not Readable.wrap: it drops what is not yet read when a stream of the old kind closes.
  const output = input.pipe(new PassThrough());
  const done = new Promise<void>((resolve, reject) => {
    output.once("end", resolve);
    output.once("close", () => reject(corrupt("bz2", "stopped")));
    input.on("error", (error: Error) => {
      // Where its input ends too early it stumbles over what is not there.
      reject(corrupt("bz2", error instanceof TypeError ? "unexpected end of file" : error.message));
      output.destroy();
    });
  });
  return { input: input as unknown as Writable, output, done, kill: () => output.destroy() };
}

// A stream begins with `BZh`, a digit, and the mark of its first block or, where it has none, of its end.
const headerBytes = 10;
const marks = [0x314159265359, 0x177245385090];

/**
 * Sees whether bzip2 data ends where its last stream ends, and whether each further stream begins where the one before it
 * ended. lbzip2 says nothing about bytes that do not belong to the data.
 */
export class Bzip2Seams {
  #tail = Buffer.alloc(0);
  #offset = 0;

  /** @throws ArtifactError for bytes between two streams. */
  feed(chunk: Buffer): void {
    const joint = Buffer.concat([this.#tail, chunk.subarray(0, 64)]);
    this.#look(joint, this.#tail.length - headerBytes + 1, this.#offset - this.#tail.length);
    // Further on, a chunk holds by itself what is before a header.
    this.#look(chunk, 32, this.#offset);
    this.#tail = Buffer.from((chunk.length < 32 ? joint : chunk).subarray(-32));
    this.#offset += chunk.length;
  }

  /** @throws ArtifactError for bytes after the end. */
  end(): void {
    if (!endsLikeBzip2(this.#tail)) {
      throw trailing("bz2");
    }
  }

  #look(bytes: Buffer, from: number, offset: number): void {
    for (let at = bytes.indexOf("BZh", Math.max(0, from)); at >= 0; at = bytes.indexOf("BZh", at + 1)) {
      const begins = at + headerBytes <= bytes.length && marks.includes(bytes.readUIntBE(at + 4, 6));
      if (begins && offset + at > 0 && !endsLikeBzip2(bytes.subarray(0, at))) {
        throw trailing("bz2");
      }
    }
  }
}

/**
 * Whether bytes (at least the last 11) end where a bzip2 stream ends: 48 bits of end mark, 32 bits of checksum, and less than
 * a byte of padding.
 */
export function endsLikeBzip2(tail: Uint8Array): boolean {
  let bits = 0n;
  for (const byte of tail.subarray(-11)) {
    bits = (bits << 8n) | BigInt(byte);
  }
  for (let padding = 0n; padding < 8n; padding++) {
    if (((bits >> (padding + 32n)) & 0xffffffffffffn) === 0x177245385090n) {
      return true;
    }
  }
  return false;
}
