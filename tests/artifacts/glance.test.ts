import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { fetchArtifact } from "../../artifacts/fetch.ts";
import { glance, readText } from "../../artifacts/glance.ts";
import { serve, sha256, staticFile } from "./server.ts";

describe("a glance at a file", () => {
  test("tells its size and version, and takes one byte of it", async () => {
    const server = await serve((request, response) => {
      const ranged = request.headers.range === "bytes=0-0";
      response.writeHead(ranged ? 206 : 200, { etag: '"v1"', "content-range": "bytes 0-0/123456" }).end("x");
    });
    expect(await glance(`${server.url}/model.pth`)).toEqual({ etag: '"v1"', sizeBytes: 123_456 });
    expect(server.requests[0]?.headers.range).toBe("bytes=0-0");
  });

  test("works with a server that sends all of it", async () => {
    const server = await serve((_, response) => response.writeHead(200, { "content-length": 3 }).end("abc"));
    expect(await glance(`${server.url}/x`)).toEqual({ sizeBytes: 3 });
  });

  test("that finds nothing says so", async () => {
    const server = await serve((_, response) => response.writeHead(410).end());
    await expect(glance(`${server.url}/x`)).rejects.toMatchObject({ code: "gone" });
  });
});

describe("a text", () => {
  test.each([
    ["as it is", {}, Buffer.from("a list\n")],
    ["compressed", { "content-encoding": "gzip" }, gzipSync("a list\n")],
  ])("is read %s", async (_, headers, body) => {
    const server = await serve((_, response) => response.writeHead(200, headers).end(body));
    expect(await readText(`${server.url}/sums`)).toBe("a list\n");
  });

  test("that is not what its header says is an error of its server", async () => {
    const server = await serve((_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("plain"));
    await expect(readText(`${server.url}/sums`)).rejects.toMatchObject({ code: "corrupt" });
  });

  test("without an end is not read for ever", async () => {
    const server = await serve((_, response) => {
      const chunk = Buffer.alloc(1 << 20);
      const more = (): void => void (response.write(chunk) ? setImmediate(more) : response.once("drain", more));
      response.writeHead(200);
      more();
    });
    await expect(readText(`${server.url}/sums`)).rejects.toMatchObject({ code: "too-large" });
  });
});

test("an archive that is wanted as it is served is judged and kept with its compression", async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "facecraft-served-"));
  onTestFinished(() => rmSync(cacheDir, { recursive: true, force: true }));
  const packed = gzipSync("a tool");
  const server = await serve(staticFile(packed));
  const spec = { title: "tool", urls: [`${server.url}/tool.tar.gz`], sha256: sha256(packed), decompress: false };
  const { path } = await fetchArtifact(spec, { cacheDir });
  expect(readFileSync(path)).toEqual(packed);
  await expect(fetchArtifact({ ...spec, sha256: sha256(Buffer.from("a tool")) }, { cacheDir })).rejects.toMatchObject({
    code: "mismatch",
  });
});
