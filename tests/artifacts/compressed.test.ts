import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { bzip2Engine, endsLikeBzip2 } from "../../artifacts/bzip2.ts";
import { formatOf } from "../../artifacts/decompress.ts";
import { noise, serve, sha256, staticFile } from "./server.ts";
import { trial } from "./trial.ts";

const body = Buffer.concat([noise(600_000), Buffer.alloc(600_000, "model ")]);

const compressors: Record<string, (bytes: Buffer) => Buffer> = {
  bz2: (input) => execFileSync("bzip2", ["-c"], { input, maxBuffer: 1 << 26 }),
  xz: (input) => execFileSync("xz", ["-c"], { input, maxBuffer: 1 << 26 }),
  gz: (input) => gzipSync(input),
  zst: (input) => zstdCompressSync(input),
};

const engines = ["lbzip2", "bunzip2", "unbzip2-stream"].filter(
  (name) => name === "unbzip2-stream" || spawnSync(name, ["--help"], { stdio: "ignore" }).status === 0,
);

// Every kind of decoder that this machine has: the format, and for bzip2 the program or library.
const decoders = [...engines.map((engine) => ["bz2", engine]), ["gz", "zlib"], ["xz", "liblzma"], ["zst", "zlib"]];

afterEach(() => {
  delete process.env.FACECRAFT_BZIP2;
});

describe.each(decoders)("a .%s file decoded by %s", (format, engine) => {
  const compress = compressors[format!]!;
  const good = compress(body);

  async function served(bytes: Buffer) {
    if (format === "bz2") {
      process.env.FACECRAFT_BZIP2 = engine;
    }
    const server = await serve(staticFile(bytes));
    return { server, url: `${server.url}/landmarks.dat.${format}` };
  }

  test("is verified by the hash of its decoded bytes, and both hashes are reported", async () => {
    const { url } = await served(good);
    const artifact = await trial().fetch(url, body);
    expect(artifact).toMatchObject({ sha256: sha256(body), downloadSha256: sha256(good), sizeBytes: body.length });
    expect(readFileSync(artifact.path)).toEqual(body);
  });

  test("continues in the middle of the stream after a broken connection", async () => {
    const { url, server } = await served(good);
    server.answer((request, response, count) => {
      if (count > 1) {
        return staticFile(good, '"v1"')(request, response, count);
      }
      response.writeHead(200, { "content-length": good.length, etag: '"v1"' });
      response.write(good.subarray(0, good.length >> 1), () => response.socket?.destroySoon());
    });
    expect(readFileSync((await trial().fetch(url, body)).path)).toEqual(body);
    // What had arrived but was not yet taken when the connection ended is asked for again.
    const from = Number(/^bytes=(\d+)-$/.exec(server.requests[1]?.headers.range ?? "bytes=0-")?.[1]);
    expect(from).toBeLessThanOrEqual(good.length >> 1);
  });

  test("is decoded anew when the transfer must start over", async () => {
    const { url, server } = await served(good);
    server.answer((request, response, count) => {
      if (count > 1) {
        return staticFile(good)(request, response, count);
      }
      response.writeHead(200, { "content-length": good.length });
      response.write(good.subarray(0, good.length >> 1), () =>
        setTimeout(() => response.socket?.resetAndDestroy(), 20),
      );
    });
    expect(readFileSync((await trial().fetch(url, body)).path)).toEqual(body);
  });

  test.each([
    ["truncated", good.subarray(0, good.length - 20)],
    ["cut in the middle", good.subarray(0, good.length >> 1)],
    ["corrupt in the middle", flipped(good, good.length >> 1)],
    ["corrupt in its checksum", flipped(good, good.length - 7)],
    ["corrupt in its header", flipped(good, 1)],
    ["followed by garbage", Buffer.concat([good, Buffer.from("garbage after the end")])],
    ["followed by one byte", Buffer.concat([good, Buffer.from("x")])],
  ])("is refused when %s, and not retried", async (_how, bytes) => {
    const { url, server } = await served(bytes);
    await trial().refuses(
      url,
      body,
      /cannot be used: .*(corrupt or cut short|not \.\w+ data|do not belong)|wrong sha256/,
    );
    expect(server.requests.length).toBe(1);
  });

  test("that is a bomb is stopped long before its end", async () => {
    const { url } = await served(compress(Buffer.alloc(96 << 20)));
    await trial().refuses(url, body, "like a decompression bomb");
  });

  test("that outgrows a configured limit is stopped", async () => {
    const { url } = await served(good);
    const { cacheDir } = trial();
    const { fetchArtifact } = await import("../../artifacts/fetch.ts");
    const spec = { title: "CodeFormer", urls: [url], sha256: sha256(body), maxBytes: 1_000_000 };
    await expect(fetchArtifact(spec, { cacheDir })).rejects.toThrow("larger than the limit of 1000000 bytes");
  });
});

test("a suffix decides about the format, whatever the query says", () => {
  expect(formatOf("https://h/a.dat.bz2?x=y.gz")).toBe("bz2");
  expect(formatOf("https://h/a.GZ")).toBe("gz");
  expect(formatOf("https://h/a.pth?file=a.bz2")).toBe("none");
});

test("the end of a bzip2 stream is recognized at each of its eight bit offsets", () => {
  const offsets = new Set<number>();
  for (let length = 1; offsets.size < 8 && length < 400; length++) {
    const bytes = compressors.bz2!(noise(length));
    expect(endsLikeBzip2(bytes)).toBe(true);
    expect(endsLikeBzip2(Buffer.concat([bytes, Buffer.from("x")]))).toBe(false);
    offsets.add(length % 8);
  }
});

test("the fastest bzip2 that the machine has is used", () => {
  expect(bzip2Engine()).toBe(engines[0]);
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 0x10;
  return copy;
}
