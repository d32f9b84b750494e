// Archives that fast-check makes up, and what is right to say about them.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";

type Format = "none" | "bz2" | "gz" | "xz" | "zst";
type Gap = "nothing" | "3 zeros" | "8 zeros" | "skippable frames" | "garbage" | "much garbage";

interface Piece {
  bytes: number;
  seed: number;
  /** Whether it compresses badly. */
  noisy: boolean;
}

export interface ArchivePlan {
  format: Format;
  pieces: Piece[];
  before: Gap;
  between: Gap;
  after: Gap;
  /** How much is missing at its end, as a part of it. */
  missing: number;
  /** Where a bit is wrong, as a part of it. */
  flipped: number | undefined;
}

export interface Archive {
  suffix: string;
  served: Buffer;
  content: Buffer;
  /** Whether it is exactly one whole file of its format; undefined where damage may have hit what does not matter. */
  valid: boolean | undefined;
}

/** Mostly the first, now and then one of the others. */
export function mostly<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight: 6 }, { arbitrary: fc.constantFrom(...others), weight: 1 });
}

const gap = mostly<Gap>("nothing", "3 zeros", "8 zeros", "skippable frames", "garbage", "much garbage");
const piece = fc.record({
  bytes: fc.oneof(fc.nat(200), fc.nat(60_000)),
  seed: fc.nat(99),
  noisy: fc.boolean(),
});

export const archivePlan: fc.Arbitrary<ArchivePlan> = fc.record({
  format: fc.constantFrom<Format>("none", "none", "bz2", "gz", "xz", "zst"),
  pieces: fc.array(piece, { minLength: 1, maxLength: 3 }),
  before: gap,
  between: gap,
  after: gap,
  missing: mostly(0, 0.001, 0.3, 0.9, 1),
  flipped: mostly<number | undefined>(undefined, 0, 0.1, 0.5, 0.99),
});

export function build(plan: ArchivePlan): Archive {
  const contents = plan.pieces.map(bytesOf);
  const content = Buffer.concat(contents);
  const suffix = plan.format === "none" ? ".pth" : `.dat.${plan.format}`;
  const { format, before, between, after } = plan;
  if (format === "none") {
    const served = damaged(content, plan);
    return { suffix, served, content, valid: served.equals(content) };
  }
  const packed = contents.flatMap((bytes, i) => [
    i === 0 ? gapBytes[before] : gapBytes[between],
    compress(format, bytes),
  ]);
  const whole = Buffer.concat([...packed, gapBytes[after]]);
  const served = damaged(whole, plan);
  const fits =
    (before === "nothing" || (before === "skippable frames" && format === "zst")) &&
    (contents.length === 1 || fitsAfter(format, between)) &&
    fitsAfter(format, after);
  return { suffix, served, content, valid: served.equals(whole) ? fits : undefined };
}

function fitsAfter(format: Format, what: Gap): boolean {
  switch (what) {
    case "nothing":
      return true;
    case "3 zeros":
      return format === "gz";
    case "8 zeros":
      return format === "gz" || format === "xz";
    case "skippable frames":
      return format === "zst";
    default:
      return false;
  }
}

const gapBytes: Record<Gap, Buffer> = {
  nothing: Buffer.alloc(0),
  "3 zeros": Buffer.alloc(3),
  "8 zeros": Buffer.alloc(8),
  "skippable frames": Buffer.from("5f2a4d1800000000502a4d180400000001020304", "hex"),
  garbage: Buffer.from("garbage that belongs to nothing"),
  "much garbage": Buffer.alloc(400_000, "garbage "),
};

function damaged(bytes: Buffer, { missing, flipped }: ArchivePlan): Buffer {
  const kept = Buffer.from(bytes.subarray(0, bytes.length - Math.ceil(missing * bytes.length)));
  const at = Math.floor((flipped ?? 0) * kept.length);
  if (flipped !== undefined && at < kept.length) {
    kept[at] = (kept[at] as number) ^ 0x10;
  }
  return kept;
}

/** The same plan gives the same bytes in every process, so that a seed replays. */
function bytesOf({ bytes, seed, noisy }: Piece): Buffer {
  if (!noisy) {
    return Buffer.alloc(bytes, `model ${seed} `);
  }
  const blocks: Buffer[] = [];
  for (let made = 0; made < bytes; made += 64) {
    blocks.push(createHash("sha512").update(`${seed} ${made}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, bytes);
}

const made = new Map<string, Buffer>();

function compress(format: Exclude<Format, "none">, input: Buffer): Buffer {
  const key = `${format} ${createHash("sha256").update(input).digest("hex")}`;
  const known = made.get(key);
  if (known !== undefined) {
    return known;
  }
  const packed = {
    bz2: () => execFileSync("bzip2", ["-c"], { input, maxBuffer: 1 << 24 }),
    gz: () => gzipSync(input),
    xz: () => execFileSync("xz", ["-c"], { input, maxBuffer: 1 << 24 }),
    zst: () => zstdCompressSync(input),
  }[format]();
  made.set(key, packed);
  return packed;
}
