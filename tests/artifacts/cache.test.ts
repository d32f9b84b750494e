import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultCacheDir } from "../../artifacts/cacheDir.ts";
import { noise, serve, sha256, staticFile, temporaryFolder } from "./server.ts";
import { files, trial } from "./trial.ts";

const body = noise(200_000);
const other = noise(200_000);

async function warm(handler = staticFile(body, '"v1"')) {
  const server = await serve(handler);
  const t = trial();
  const url = `${server.url}/m.pth`;
  const artifact = await t.fetch(url, body);
  return { server, url, artifact, ...t };
}

describe("with the file in the cache", () => {
  test("an upstream that still has the version is asked, and sends nothing", async () => {
    const { server, url, fetch, artifact } = await warm();
    let received = 0;
    const again = await fetch(url, body, { onProgress: () => received++ });
    expect(again).toEqual(artifact);
    expect(server.requests[1]?.headers["if-none-match"]).toBe('"v1"');
    expect(received).toBe(0);
  });

  test("a server that ignores conditions but names the same ETag is not read to the end", async () => {
    const { server, url, fetch } = await warm();
    server.answer((_request, response) => {
      response.writeHead(200, { etag: '"v1"', "content-length": body.length });
      response.write(body.subarray(0, 10));
    });
    await fetch(url, body);
  });

  test("a flipped byte upstream, under a new ETag, fails although the cache is right", async () => {
    const { server, url, refuses, artifact } = await warm();
    const flipped = Buffer.from(body);
    flipped[5]! ^= 1;
    server.answer(staticFile(flipped, '"v2"'));
    await refuses(url, body, `actual ${sha256(flipped)}`);
    expect(readFileSync(artifact.path)).toEqual(body);
  });

  test("the same bytes under a new ETag are read once, and the new ETag is remembered", async () => {
    const { server, url, fetch } = await warm();
    server.answer(staticFile(body, '"v2"'));
    expect((await fetch(url, body)).etag).toBe('"v2"');
    await fetch(url, body);
    expect(server.requests[2]?.headers["if-none-match"]).toBe('"v2"');
  });

  test("a server without ETag is read again, for nothing else can tell", async () => {
    const { server, url, fetch, refuses } = await warm((_request, response) => void response.end(body));
    await fetch(url, body);
    server.answer((_request, response) => void response.end(other));
    await refuses(url, body, "wrong sha256");
  });

  test("a Last-Modified counts as a version only when it is older than the answer", async () => {
    const now = Date.now();
    const dated =
      (ageMs: number) =>
      (_request: unknown, response: import("node:http").ServerResponse): void => {
        const lastModified = new Date(now - ageMs).toUTCString();
        response.writeHead(200, { "last-modified": lastModified, date: new Date(now).toUTCString() }).end(body);
      };
    const old = await warm(dated(60_000));
    await old.fetch(old.url, body);
    expect(old.server.requests[1]?.headers["if-modified-since"]).toBe(new Date(now - 60_000).toUTCString());
    const fresh = await warm(dated(0));
    await fresh.fetch(fresh.url, body);
    expect(fresh.server.requests[1]?.headers["if-modified-since"]).toBeUndefined();
  });

  test.each([
    ["is down", undefined, "the connection was refused"],
    ["answers 503", 503, "503"],
    ["lets nobody in", 403, "403"],
  ])("an upstream that %s does not stop the release, but is told about", async (_how, status, cause) => {
    const { server, url, fetch, warnings, artifact } = await warm();
    if (status === undefined) {
      await server.close();
    } else {
      server.answer((_request, response) => response.writeHead(status).end());
    }
    expect(await fetch(url, body)).toEqual({ ...artifact, confirmed: false });
    expect(warnings).toEqual([
      expect.stringMatching(/CodeFormer: the verified file in the cache is used, because http/),
    ]);
    expect(warnings[0]).toContain(cause);
  });

  test("an upstream that no longer has it stops the release, as it would on a machine with an empty cache", async () => {
    const { server, url, refuses, artifact } = await warm();
    server.answer((_request, response) => response.writeHead(404).end());
    await refuses(url, body, `a verified copy, for a mirror of your own, is ${artifact.path}`);
  });

  test("another mirror is verified by its bytes, not by the other's version", async () => {
    const { url, fetch, refuses } = await warm();
    const mirror = await serve(staticFile(body, '"v1"'));
    expect((await fetch([`${mirror.url}/m.pth`, url], body)).url).toBe(`${mirror.url}/m.pth`);
    const liar = await serve(staticFile(other, '"v1"'));
    await refuses(`${liar.url}/m.pth`, body, "wrong sha256");
  });
});

describe("a cached file that was damaged on disk", () => {
  test("is found, fetched again, and told about", async () => {
    const { url, fetch, warnings, artifact } = await warm();
    writeFileSync(artifact.path, other);
    expect(readFileSync((await fetch(url, body)).path)).toEqual(body);
    expect(warnings).toEqual([
      `CodeFormer: the cached file ${artifact.path} was damaged on disk; it is fetched again.`,
    ]);
  });

  test("is found even when its size and date are as before", async () => {
    const { url, fetch, warnings, artifact } = await warm();
    const { atime, mtime } = statSync(artifact.path);
    writeFileSync(artifact.path, other);
    utimesSync(artifact.path, atime, mtime);
    expect(readFileSync((await fetch(url, body)).path)).toEqual(body);
    expect(warnings).toHaveLength(1);
  });

  test("is never used when upstream is away", async () => {
    const { server, url, fetch, artifact } = await warm();
    writeFileSync(artifact.path, other);
    await server.close();
    await expect(fetch(url, body, { retries: 0 })).rejects.toThrow(/CodeFormer: .*the connection was refused/);
    expect(existsSync(artifact.path)).toBe(false);
  });

  test("under a record that claims otherwise is found with the flag to hash again", async () => {
    const { url, fetch, warnings, artifact } = await warm();
    writeFileSync(artifact.path, other);
    const { size, mtimeMs, ctimeMs } = statSync(artifact.path);
    const record = JSON.parse(readFileSync(`${artifact.path}.json`, "utf8"));
    writeFileSync(`${artifact.path}.json`, JSON.stringify({ ...record, sizeBytes: size, mtimeMs, ctimeMs }));
    await fetch(url, body, { rehash: true });
    expect(warnings).toEqual([expect.stringContaining("was damaged on disk")]);
  });

  test("whose record is gone or unreadable is hashed again and kept", async () => {
    const { url, fetch, warnings, artifact } = await warm();
    writeFileSync(`${artifact.path}.json`, "{ not json");
    await fetch(url, body);
    expect(warnings).toEqual([]);
    expect(JSON.parse(readFileSync(`${artifact.path}.json`, "utf8")).sizeBytes).toBe(body.length);
  });
});

test("part files of killed processes are swept, those of other containers only when they are old", async () => {
  const cacheDir = temporaryFolder();
  const { lockScope } = await import("../../artifacts/lock.ts");
  const hash = sha256(body);
  const [ours, theirs, old] = [lockScope, "deadbeef", "0ldbeef0"].map((scope) =>
    join(cacheDir, `${hash}.${scope}.1.part`),
  );
  for (const path of [ours!, theirs!, old!]) {
    writeFileSync(path, "half");
  }
  utimesSync(old!, new Date(0), new Date(0));
  const server = await serve(staticFile(body));
  await trial(cacheDir).fetch(`${server.url}/m.pth`, body);
  expect(files(cacheDir)).toEqual([hash, `${hash}.deadbeef.1.part`, `${hash}.json`].sort());
});

test("the cache folder is FACECRAFT_CACHE, else in XDG_CACHE_HOME, else in ~/.cache", () => {
  expect(defaultCacheDir({ FACECRAFT_CACHE: "/a", XDG_CACHE_HOME: "/b" })).toBe("/a");
  expect(defaultCacheDir({ XDG_CACHE_HOME: "/b" })).toBe("/b/facecraft");
  expect(defaultCacheDir({})).toMatch(/\/\.cache\/facecraft$/);
});

test.skipIf(process.getuid?.() === 0)("a cache folder that may not be written is named, with the remedy", async () => {
  const cacheDir = temporaryFolder();
  chmodSync(cacheDir, 0o555);
  const server = await serve(staticFile(body));
  await trial(cacheDir).refuses(`${server.url}/m.pth`, body, "set FACECRAFT_CACHE to another folder");
});

test("a cache folder that is a file is named, with the remedy", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "cache"), "");
  mkdirSync(join(folder, "x"));
  const server = await serve(staticFile(body));
  const { fetch } = trial(join(folder, "cache"));
  await expect(fetch(`${server.url}/m.pth`, body)).rejects.toThrow(
    /CodeFormer: http.* cannot be stored: .*FACECRAFT_CACHE/,
  );
});
