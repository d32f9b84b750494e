import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Entry, readTar } from "../../registry/tar.ts";

/** What lies at a path: a file's text, a folder, or where a link points. */
type Node = { kind: "file"; text: string } | { kind: "folder" } | { kind: "symbolic" | "hard"; target: string };
type Tree = Record<string, Node>;

const file = (text: string): Node => ({ kind: "file", text });

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-tar-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The archive that GNU tar writes of a tree. */
function archive(tree: Tree, options: readonly string[]): Buffer {
  const folder = temporaryFolder();
  for (const [path, node] of Object.entries(tree)) {
    const place = join(folder, path);
    mkdirSync(node.kind === "folder" ? place : dirname(place), { recursive: true });
    if (node.kind === "file") {
      writeFileSync(place, node.text);
    } else if (node.kind === "symbolic") {
      symlinkSync(node.target, place);
    } else if (node.kind === "hard") {
      linkSync(join(folder, node.target), place);
    }
  }
  return execFileSync("tar", [...options, "--sort=name", "-C", folder, "-c", "."], { maxBuffer: 1 << 27 });
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

interface Read {
  entries: Map<string, Entry>;
  texts: Map<string, string>;
}

async function read(bytes: Buffer, size = 1000): Promise<Read> {
  const entries = new Map<string, Entry>();
  const pieces = new Map<string, Buffer[]>();
  await readTar(inPieces(bytes, size), (entry) => {
    entries.set(entry.path, entry);
    const own: Buffer[] = [];
    pieces.set(entry.path, own);
    return (piece) => own.push(Buffer.from(piece));
  });
  const texts = [...pieces].map(([path, own]) => [path, Buffer.concat(own).toString()] as const);
  return { entries, texts: new Map(texts) };
}

function expectTree({ entries, texts }: Read, tree: Tree): void {
  for (const [path, node] of Object.entries(tree)) {
    if (node.kind === "file") {
      expect(entries.get(path), path).toMatchObject({ kind: "file", size: Buffer.byteLength(node.text) });
      expect(texts.get(path), path).toBe(node.text);
    } else if (node.kind === "folder") {
      expect(entries.get(path), path).toMatchObject({ kind: "folder", size: 0 });
    } else {
      expect(entries.get(path), path).toMatchObject({ kind: "link", target: node.target, size: 0 });
    }
  }
}

const long = `${"deep/".repeat(50)}file-with-a-long-name`;
const tree: Tree = {
  a: file("first"),
  [long]: file("x".repeat(1500)),
  empty: file(""),
  folder: { kind: "folder" },
  hard: { kind: "hard", target: "a" },
  symbolic: { kind: "symbolic", target: long },
  übung: file("ümlaut 日本"),
};

const formats = ["gnu", "oldgnu", "pax"];

test.each(formats)("reads a %s archive, however it is cut into pieces", async (format) => {
  const bytes = archive(tree, [`--format=${format}`]);
  for (const size of [1, 511, 512, 513, bytes.length]) {
    expectTree(await read(bytes, size), tree);
  }
});

test.each(["v7", "ustar"])("reads a %s archive, whose names are short", async (format) => {
  const short: Tree = { ...tree, symbolic: { kind: "symbolic", target: "a" } };
  delete short[long];
  expectTree(await read(archive(short, [`--format=${format}`])), short);
});

test("reads any archive that GNU tar writes", async () => {
  const name = fc.oneof(
    fc.stringMatching(/^[a-z0-9 ._~+'"$-]{1,40}$/).filter((text) => !/^\.{1,2}$/.test(text)),
    fc.constantFrom(
      "n".repeat(99),
      "n".repeat(100),
      "n".repeat(101),
      "n".repeat(200),
      "日本語",
      "🙂",
      "é",
      "back\\slash",
    ),
  );
  // Every folder's name ends in "+" and no other does, so that no path is both.
  const path = fc
    .tuple(fc.array(name, { maxLength: 4 }), name)
    .map(([folders, last]) => [...folders.map((folder) => `${folder}+`), last.replace(/\+*$/, "-")].join("/"))
    .filter((text) => text.length < 700);
  const node = fc.oneof(
    fc.string({ unit: "binary", maxLength: 1300 }).map((text): Node => file(text.toWellFormed())),
    fc.integer({ min: 0, max: 4 }).map((blocks): Node => file("z".repeat(512 * blocks))),
    fc
      .constantFrom("target", "t".repeat(100), "t".repeat(101), "t".repeat(300))
      .map((target): Node => ({ kind: "symbolic", target })),
    fc.constant<Node>({ kind: "folder" }),
  );
  const settings = [
    fc.constantFrom(...formats).map((format) => `--format=${format}`),
    fc.constantFrom("--blocking-factor=1", "--blocking-factor=20"),
    fc.constantFrom("--numeric-owner", "--owner=someone:4000000", "--owner=nobody", "--mtime=@0", "--mtime=@-5.5"),
  ] as const;
  await fc.assert(
    fc.asyncProperty(fc.dictionary(path, node, { maxKeys: 8 }), fc.tuple(...settings), async (tree, options) => {
      // The prototype of a dictionary is none, and names such as "__proto__" stay what they are.
      expectTree(await read(archive(tree, options)), tree);
    }),
    { numRuns: 40 },
  );
});

describe("beside files, folders and links", () => {
  test("a pipe, a volume's label, a global header and times of the last look are read over", async () => {
    const folder = temporaryFolder();
    execFileSync("mkfifo", [join(folder, "pipe")]);
    writeFileSync(join(folder, "z"), "last");
    const pax = "--pax-option=globexthdr.name=/g,comment=all,exthdr.name=%d/x,atime:=0";
    for (const options of [
      ["--format=pax", pax],
      ["--format=gnu", "-V", "the label"],
    ]) {
      const bytes = execFileSync("tar", [...options, "--sort=name", "-C", folder, "-c", "."]);
      const { entries, texts } = await read(bytes);
      expect(entries.get("pipe")).toMatchObject({ kind: "other", size: 0 });
      expect(texts.get("z")).toBe("last");
    }
  });

  test("a backup's list of a folder is read over", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "z"), "last");
    const list = join(temporaryFolder(), "list");
    const options = [`--listed-incremental=${list}`, "--format=gnu"];
    const { entries, texts } = await read(execFileSync("tar", [...options, "--sort=name", "-C", folder, "-c", "."]));
    expect([...entries.values()].map(({ kind }) => kind)).toEqual(["folder", "file"]);
    expect(texts.get("z")).toBe("last");
  });

  test.each(["0.0", "0.1", "1.0"])("a sparse file of pax's version %s has its own name and size", async (version) => {
    const { bytes, size } = sparse(["--format=pax", `--sparse-version=${version}`]);
    const entries = new Map<string, Entry>();
    await readTar(inPieces(bytes, 1000), (entry) => void entries.set(entry.path, entry));
    expect(entries.get("holes")).toMatchObject({ kind: "file", size });
    await expect(read(bytes)).rejects.toThrow("holes is stored as a sparse file, whose bytes cannot be told");
  });

  test("a sparse file of GNU's old format is refused by its name, because its end cannot be found", async () => {
    await expect(read(sparse(["--format=gnu"]).bytes)).rejects.toThrow(
      "holes is a sparse file of GNU's old format, or a part of a file, which cannot be read",
    );
  });
});

/** An archive of a file with holes. */
function sparse(options: readonly string[]): { bytes: Buffer; size: number } {
  const folder = temporaryFolder();
  const size = 3 << 20;
  writeFileSync(join(folder, "holes"), "begin");
  truncateSync(join(folder, "holes"), size);
  writeFileSync(join(folder, "z"), "last");
  return { bytes: execFileSync("tar", [...options, "--sparse", "--sort=name", "-C", folder, "-c", "."]), size };
}

describe("a damaged archive is an error", () => {
  const bytes = () => archive(tree, ["--format=pax", "--blocking-factor=2"]);

  test("wherever it was cut", async () => {
    const whole = bytes();
    // Behind two blocks of zeros nothing is missed.
    const end = whole.length - trailingZeros(whole) + 1024;
    for (const at of [0, 1, 511, 512, 513, 1024, 2048, end - 1, end - 513]) {
      await expect(read(whole.subarray(0, at)), `cut at ${at}`).rejects.toThrow();
    }
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: Math.floor(end / 512) - 1 }),
        fc.constantFrom(0, 1, 300),
        async (n, more) => {
          const at = Math.min(n * 512 + more, end - 1);
          await expect(read(whole.subarray(0, at)), `cut at ${at}`).rejects.toThrow();
        },
      ),
    );
  });

  test("when a header has another byte", async () => {
    const whole = bytes();
    await fc.assert(
      // Of the first header; its checksum may be written in several ways, and says itself.
      fc.asyncProperty(fc.integer({ min: 0, max: 147 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] as number) ^ change;
        await expect(read(changed)).rejects.toThrow("Invalid tar header");
      }),
    );
  });

  test("when it is no archive at all, and never waited for", async () => {
    for (const text of ["", "no archive", "x".repeat(10_240)]) {
      await expect(read(Buffer.from(text)), text.slice(0, 10)).rejects.toThrow();
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4096 }), async (noise) => {
        fc.pre(noise.some((byte) => byte !== 0));
        await expect(read(Buffer.from(noise))).rejects.toThrow();
      }),
    );
  });

  test("and so is a reader that does not want what it gets", async () => {
    const unwanted = () => {
      throw new Error("not wanted");
    };
    await expect(readTar(inPieces(bytes(), 100), unwanted)).rejects.toThrow("not wanted");
    await expect(readTar(inPieces(bytes(), 100), () => unwanted)).rejects.toThrow("not wanted");
  });
});

function trailingZeros(bytes: Buffer): number {
  let zeros = 0;
  while (zeros < bytes.length && bytes[bytes.length - 1 - zeros] === 0) {
    zeros++;
  }
  return zeros;
}
