import { unbzip2 } from "./bzip2.ts";
import type { Decoder, Format } from "./decoder.ts";
import { gunzip, unzstd } from "./frames.ts";
import { SourceUrl } from "./url.ts";
import { unxz } from "./xz.ts";

const magic: Record<Exclude<Format, "none">, readonly (readonly number[])[]> = {
  bz2: [[0x42, 0x5a, 0x68]],
  gz: [[0x1f, 0x8b]],
  xz: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  // A frame, or one of the sixteen frames that are to be skipped.
  zst: [[0x28, 0xb5, 0x2f, 0xfd], ...Array.from({ length: 16 }, (_, i) => [0x50 + i, 0x2a, 0x4d, 0x18])],
};

/** The compression that the URL's suffix announces: `.bz2`, `.gz`, `.xz`, `.zst`, or none. */
export function formatOf(url: string | SourceUrl): Format {
  const { suffix } = typeof url === "string" ? SourceUrl.parse(url) : url;
  return /^\.(bz2|gz|xz|zst)$/.test(suffix) ? (suffix.slice(1) as Format) : "none";
}

/** Whether a body that starts like this can be of that format; asked with the first bytes there are. */
export function startsLike(format: Format, start: Uint8Array): boolean {
  return (
    format === "none" || magic[format].some((bytes) => bytes.every((byte, i) => i >= start.length || start[i] === byte))
  );
}

export async function decoder(format: Exclude<Format, "none">): Promise<Decoder> {
  switch (format) {
    case "bz2":
      return unbzip2();
    case "gz":
      return gunzip();
    case "xz":
      return unxz();
    case "zst":
      return unzstd();
  }
}
