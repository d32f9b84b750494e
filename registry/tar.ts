import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";

/** One entry of a tar archive. */
export interface Entry {
  /** Without a leading "./" or "/", nor a trailing "/". */
  path: string;
  kind: "file" | "folder" | "link" | "other";
  /** Bytes of a file; of a sparse one, with its holes. */
  size: number;
  /** Where a link points: for a hard link, a path of this archive. */
  target: string;
}

/** Decides from an entry whether its bytes are wanted, as a function that gets them piece by piece. */
export type OnEntry = (entry: Entry) => ((piece: Buffer) => void) | undefined;

const block = 512;

/** What tar-stream's own types leave out. */
interface FullHeader extends Omit<Header, "type" | "linkname" | "pax"> {
  type: Header["type"] | null;
  linkname: string | null;
  pax: Readonly<Record<string, string>> | null;
  /** Where the entry's bytes begin in the archive. */
  byteOffset: number;
}

/**
 * Reads a tar archive (v7, ustar, pax, GNU) as it streams by.
 *
 * @throws Error for one that is damaged, or ends before its end-of-archive marker
 */
export async function readTar(chunks: AsyncIterable<Uint8Array>, onEntry: OnEntry): Promise<void> {
  // Headers of v7 do not name their format, but have a checksum like all others.
  const reader = extract({ allowUnknownFormat: true } as object);
  const ending = new Ending();
  reader.on("entry", (given, stream, next) => {
    // The reader itself says what is wrong.
    stream.on("error", () => {});
    const guarded = (work: () => void) => {
      try {
        work();
      } catch (error) {
        reader.destroy(error as Error);
      }
    };
    guarded(() => {
      const header = given as unknown as FullHeader;
      const entry = entryOf(header);
      const take = onEntry(entry);
      if (take && isSparse(header)) {
        throw new Error(`${entry.path} is stored as a sparse file, whose bytes cannot be told`);
      }
      ending.expectAfter(header.byteOffset + (header.type === "directory" ? 0 : header.size));
      stream.on("data", (piece) => guarded(() => take?.(piece as Buffer)));
      stream.on("end", () => next());
    });
  });
  await pipeline(chunks, (pieces) => ending.watch(pieces), reader);
  ending.check();
}

const kinds: Readonly<Record<string, Entry["kind"]>> = {
  file: "file",
  "contiguous-file": "file",
  link: "link",
  symlink: "link",
};

function entryOf(header: FullHeader): Entry {
  const { name, type, linkname, pax } = header;
  const path = pax?.["GNU.sparse.name"] ?? name;
  const size = Number(pax?.["GNU.sparse.realsize"] ?? pax?.["GNU.sparse.size"] ?? header.size);
  const isFolder = type === "directory" || name.endsWith("/");
  if (type === null && header.size > 0 && !isFolder) {
    // After its header stand blocks that only a reader of this format can count.
    throw new Error(`${clean(path)} is a sparse file of GNU's old format, or a part of a file, which cannot be read`);
  }
  const kind = isFolder ? "folder" : (kinds[type ?? ""] ?? "other");
  return { path: clean(path), kind, size: kind === "file" ? size : 0, target: clean(linkname ?? "") };
}

/** A file without its holes; pax says what is where in records of its own. */
function isSparse({ pax }: FullHeader): boolean {
  return Object.keys(pax ?? {}).some((key) => key.startsWith("GNU.sparse."));
}

function clean(path: string): string {
  return path.replace(/^(\.?\/)+/, "").replace(/\/+$/, "");
}

/**
 * Whether an archive came whole: two blocks of zeros stand behind its last entry. tar-stream takes an archive that was cut
 * between two entries for a whole one.
 */
class Ending {
  #bytes = 0;
  #zeros = 0;
  #lastEntry = 0;

  /** Notes where the bytes of an entry end. */
  expectAfter(position: number): void {
    this.#lastEntry = Math.ceil(position / block) * block;
  }

  async *watch(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#bytes += piece.length;
      let zeros = 0;
      while (zeros < piece.length && piece[piece.length - 1 - zeros] === 0) {
        zeros++;
      }
      this.#zeros = zeros < piece.length ? zeros : this.#zeros + zeros;
      yield piece;
    }
  }

  check(): void {
    const wanted = 2 * block;
    if (this.#zeros < wanted || this.#bytes - this.#lastEntry < wanted) {
      throw new Error("the archive was cut: it has no end-of-archive marker");
    }
  }
}
