import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { type Entry, readTar } from "../../images/tar.ts";

const long = `${"deep/".repeat(50)}file-with-a-long-name`;

function archive(format: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-tar-"));
  for (const [path, text] of [
    ["a", "first"],
    [long, "x".repeat(1500)],
    ["empty", ""],
  ] as const) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  symlinkSync("a", join(folder, "symbolic"));
  linkSync(join(folder, "a"), join(folder, "hard"));
  return execFileSync("tar", [`--format=${format}`, "--sort=name", "-C", folder, "-c", "."]);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test.each(["gnu", "pax"])("reads a %s archive, however it is cut into pieces", async (format) => {
  const bytes = archive(format);
  for (const size of [1, 511, 512, 513, bytes.length]) {
    const entries: Entry[] = [];
    const texts = new Map<string, string>();
    await readTar(inPieces(bytes, size), (entry) => {
      entries.push(entry);
      return (piece) => texts.set(entry.path, (texts.get(entry.path) ?? "") + piece.toString());
    });
    expect(texts.get("a")).toBe("first");
    expect(texts.get(long)).toBe("x".repeat(1500));
    expect(entries.find(({ path }) => path === "empty")).toMatchObject({ kind: "file", size: 0 });
    expect(entries.find(({ path }) => path === "hard")).toMatchObject({ kind: "link", target: "a", size: 0 });
    expect(entries.find(({ path }) => path === "symbolic")).toMatchObject({ kind: "link", target: "a" });
  }
});
