import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseRecord } from "../../artifacts/record.ts";
import { noise, serve, sha256, staticFile } from "./server.ts";
import { files, trial } from "./trial.ts";

const body = noise(100_000);
const hash = sha256(body);

async function warm() {
  const server = await serve(staticFile(body, '"v1"'));
  const t = trial();
  const url = `${server.url}/m.pth`;
  const { path } = await t.fetch(url, body);
  const record = () => JSON.parse(readFileSync(`${path}.json`, "utf8"));
  const edit = (changes: object) => writeFileSync(`${path}.json`, JSON.stringify({ ...record(), ...changes }));
  return { server, url, path, record, edit, ...t };
}

describe("a record that somebody else wrote", () => {
  test.each([
    ["no sources", { sources: null }],
    ["a list of sources", { sources: [1] }],
    ["an ETag that is a number", { sources: { URL: { etag: 5 } } }],
    ["an ETag that no header can carry", { sources: { URL: { etag: '"a\nb"' } } }],
    ["an ETag beyond ASCII", { sources: { URL: { etag: '"\u2603"' } } }],
    ["a source that is null", { sources: { URL: null } }],
    ["times that are texts", { verifiedAtMs: "now", confirmedAtMs: {} }],
    ["a hash that is none", { downloadSha256: "hello" }],
    ["no size", { sizeBytes: undefined }],
    ["a negative size", { sizeBytes: -1 }],
  ])("with %s is taken for what is right in it, and upstream is asked", async (_what, changes) => {
    const { server, url, fetch, edit, record, warnings } = await warm();
    edit(JSON.parse(JSON.stringify(changes).replaceAll('"URL"', JSON.stringify(url))));
    const artifact = await fetch(url, body);
    expect(artifact).toMatchObject({ sha256: hash, sizeBytes: body.length, url, etag: '"v1"' });
    expect(record()).toMatchObject({ sizeBytes: body.length, sources: { [url]: { etag: '"v1"' } } });
    expect(warnings).toEqual([]);
    const asked = server.requests.length;
    server.answer(staticFile(noise(100_000), '"v2"'));
    await expect(fetch(url, body)).rejects.toThrow("wrong sha256");
    expect(server.requests.length).toBeGreaterThan(asked);
  });

  test.each(["", "null", "5", "[]", '"x"', "{", `${"[".repeat(100_000)}`])("that is %.20j is none", (text) => {
    expect(parseRecord(text)).toBeUndefined();
  });

  test("that is anything at all never breaks a fetch", async () => {
    const { url, fetch, path, edit } = await warm();
    const odd = fc.record(
      {
        sizeBytes: fc.anything(),
        mtimeMs: fc.anything(),
        verifiedAtMs: fc.anything(),
        confirmedAtMs: fc.anything(),
        downloadSha256: fc.anything(),
        sources: fc.oneof(fc.anything(), fc.dictionary(fc.constantFrom(url, "__proto__", "x"), fc.anything())),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(odd, async (changes) => {
        edit(JSON.parse(JSON.stringify(changes, (_, value) => (typeof value === "bigint" ? 1 : value)) ?? "{}"));
        expect((await fetch(url, body)).path).toBe(path);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    ["a pipe", (path: string) => execFileSync("mkfifo", [path])],
    ["a folder", (path: string) => mkdirSync(path)],
    ["a link to itself", (path: string) => symlinkSync(path, path)],
  ])("and is %s counts as none", async (_what, make) => {
    const { url, fetch, path } = await warm();
    rmSync(`${path}.json`);
    make(`${path}.json`);
    expect((await fetch(url, body)).path).toBe(path);
  });
});

describe("a time that is still to come", () => {
  const future = Date.now() + 10 ** 10;

  test("never makes a replaced upstream go unnoticed", async () => {
    const { server, url, fetch, edit } = await warm();
    edit({ confirmedAtMs: future, verifiedAtMs: future });
    server.answer(staticFile(noise(100_000), '"v2"'));
    await expect(fetch(url, body)).rejects.toThrow("wrong sha256");
  });

  test("counts as never, and is corrected", async () => {
    const { url, fetch, edit, record } = await warm();
    edit({ confirmedAtMs: future, verifiedAtMs: future });
    await fetch(url, body);
    expect(record().confirmedAtMs).toBeLessThan(future);
    expect(record().verifiedAtMs).toBeLessThan(future);
  });
});

describe("an entry whose place is taken by something else", () => {
  test.each([
    ["a pipe", (path: string) => execFileSync("mkfifo", [path])],
    ["a link to nowhere", (path: string) => symlinkSync("/nowhere/at/all", path)],
    ["an empty file", (path: string) => writeFileSync(path, "")],
  ])("(%s) is fetched again", async (_what, make) => {
    const { url, fetch, path } = await warm();
    rmSync(path);
    make(path);
    await fetch(url, body);
    expect(readFileSync(path)).toEqual(body);
  });

  test("(a folder) is told with the remedy, and left alone", async () => {
    const { url, fetch, path, cacheDir } = await warm();
    rmSync(path);
    mkdirSync(path);
    const cause = `cannot be stored: a folder stands where a file belongs (EISDIR) in ${cacheDir}`;
    await expect(fetch(url, body)).rejects.toThrow(cause);
    expect(files(cacheDir)).toEqual([hash, `${hash}.json`]);
  });
});

describe("the URL of a file that no mirror could confirm", () => {
  test("is the one that last served it, of those that are asked", async () => {
    const { server, url, fetch } = await warm();
    const other = await serve(staticFile(body, '"v1"'));
    const second = `${other.url}/m.pth`;
    await fetch(second, body);
    await server.close();
    await other.close();
    const dead = "http://127.0.0.1:1/m.pth";
    expect((await fetch([dead, url], body, { retries: 0 })).url).toBe(url);
    expect((await fetch([dead], body, { retries: 0 })).url).toBe(second);
  });

  test("is none where nobody knows any more, rather than one that served nothing", async () => {
    const { server, url, fetch, path } = await warm();
    rmSync(`${path}.json`);
    await server.close();
    expect((await fetch(url, body, { retries: 0 })).url).toBe("");
  });
});

test("part files that are old are swept, of whatever pin; young ones and files of others are left alone", async () => {
  const { server, cacheDir, fetch } = await warm();
  const other = "0".repeat(64);
  const old = [`${hash}.abc.1f.part`, `${other}.abc.1f.part`, `${other}.unlocked.1f.part`];
  const kept = [`${hash}.unlocked.2f.part`, `${other}.abc.2f.part`, "notes.part", `${other}.txt`];
  for (const name of [...old, ...kept]) {
    writeFileSync(join(cacheDir, name), "half");
  }
  for (const name of [...old, "notes.part"]) {
    utimesSync(join(cacheDir, name), new Date(0), new Date(0));
  }
  await fetch(`${server.url}/m.pth`, body);
  expect(files(cacheDir)).toEqual([hash, `${hash}.json`, ...kept].sort());
});
