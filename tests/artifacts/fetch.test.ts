import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { fetchArtifact } from "../../artifacts/fetch.ts";
import { noise, serve, sha256, staticFile, temporaryFolder } from "./server.ts";

const quick = { retryDelayMs: 5, idleTimeoutMs: 2000 };
const body = noise(300_000);

test("a raw file is verified, cached under its hash, and reported with its size and version", async () => {
  const server = await serve(staticFile(body, '"v1"'));
  const cacheDir = temporaryFolder();
  const url = `${server.url}/model.pth`;
  const artifact = await fetchArtifact(
    { title: "CodeFormer", urls: [url], sha256: sha256(body) },
    { cacheDir, ...quick },
  );
  expect(artifact).toEqual({
    sha256: sha256(body),
    downloadSha256: sha256(body),
    sizeBytes: body.length,
    url,
    etag: '"v1"',
    path: `${cacheDir}/${sha256(body)}`,
    confirmed: true,
  });
  expect(readFileSync(artifact.path)).toEqual(body);
});

const compress: Record<string, (bytes: Buffer) => Buffer> = {
  bz2: (input) => execFileSync("bzip2", ["-c"], { input, maxBuffer: 1 << 24 }),
  xz: (input) => execFileSync("xz", ["-c"], { input, maxBuffer: 1 << 24 }),
  gz: (input) => gzipSync(input),
  zst: (input) => zstdCompressSync(input),
};

test.each(Object.keys(compress))("a .%s file is decompressed, and both its hashes are reported", async (suffix) => {
  const served = compress[suffix]!(body);
  const server = await serve(staticFile(served));
  const artifact = await fetchArtifact(
    { title: "model", urls: [`${server.url}/a.dat.${suffix}`], sha256: sha256(body) },
    { cacheDir: temporaryFolder(), ...quick },
  );
  expect(artifact.downloadSha256).toBe(sha256(served));
  expect(readFileSync(artifact.path)).toEqual(body);
});

test("a wrong hash is one sentence with the model, the URL, both hashes and the size", async () => {
  const server = await serve(staticFile(body));
  const url = `${server.url}/model.pth`;
  const pin = "0".repeat(64);
  await expect(
    fetchArtifact({ title: "CodeFormer", urls: [url], sha256: pin }, { cacheDir: temporaryFolder(), ...quick }),
  ).rejects.toThrow(
    `CodeFormer: ${url} serves a file with the wrong sha256: expected ${pin}, actual ${sha256(body)}, size 300000 bytes.`,
  );
});
