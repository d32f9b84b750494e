import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { replaceFiles } from "../../scripts/replaceFiles.ts";
import { type Handler, staticFile, temporaryFolder } from "../artifacts/server.ts";
import { bodies, codeformer, dockerfile, project, shape, stale, u2net } from "./project.ts";

const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";

const noModels: Record<string, { answer: Handler; why: string }> = {
  "an HTML page": {
    answer: (_request, response) => response.end("<!DOCTYPE html><title>Sign in</title>"),
    why: "it is an HTML page, perhaps of a login or an error",
  },
  "a page that only its header calls one": {
    answer: (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("Sorry"),
    why: "it is an HTML page, perhaps of a login or an error",
  },
  "a Git LFS pointer": {
    answer: (_request, response) => response.end(lfs),
    why: "it is a Git LFS pointer, not the file itself",
  },
  "a JSON answer": {
    answer: (_request, response) => response.end('{"error": "quota exceeded"}'),
    why: "it is a JSON document, perhaps of an error",
  },
  "an XML answer": {
    answer: (_request, response) => response.end("<?xml version='1.0'?><Error/>"),
    why: "it is an XML document, perhaps of an error",
  },
  "an empty file": {
    answer: (_request, response) => response.writeHead(200, { "content-length": 0 }).end(),
    why: "it is empty",
  },
  "a body that was cut where nobody can tell": {
    answer: (_request, response) => {
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200, { connection: "close" }).end(bodies["/codeformer.pth"]!.subarray(0, 60_000));
    },
    why: "the server did not say how long it is, so it may be cut short",
  },
  "a body in another encoding": {
    answer: (_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("\x1f\x8b..."),
    why: "the server encoded it with gzip",
  },
};

describe.each(Object.entries(noModels))("%s in place of a model", (_what, { answer, why }) => {
  test("is refused, and no Dockerfile is changed although the others have news", async () => {
    const { run, texts, server } = await project([stale, stale, stale]);
    const before = texts();
    server.answer((request, ...rest) =>
      request.url === "/codeformer.pth"
        ? answer(request, ...rest)
        : staticFile(bodies[request.url!]!)(request, ...rest),
    );
    const { code, err } = await run();
    expect(code).toBe(1);
    expect(err).toContain(`CodeFormer: what ${server.url}/codeformer.pth serves is no model: ${why}.`);
    expect(err).toContain("Nothing was changed. FORCE=1 pins it all the same.");
    expect(texts()).toEqual(before);
  });

  test("is pinned with FORCE=1, which is told", async () => {
    const { run, texts, server } = await project([shape, stale, u2net]);
    server.answer((request, ...rest) =>
      request.url === "/codeformer.pth"
        ? answer(request, ...rest)
        : staticFile(bodies[request.url!]!)(request, ...rest),
    );
    const { code, err } = await run({ FORCE: "1" });
    expect(code).toBe(0);
    expect(err).toContain(`is no model: ${why}.\nIt is pinned all the same, because FORCE is set.`);
    expect(texts()[0]).not.toContain(stale);
  });
});

describe("a model that shrank", () => {
  async function shrunk(bytes: number) {
    const { run, texts, server, folder } = await project([shape, stale, u2net]);
    const cache = join(folder, "cache");
    mkdirSync(cache);
    writeFileSync(join(cache, stale), "");
    truncateSync(join(cache, stale), bytes);
    return { run, texts, server };
  }

  test("below half of the pinned file that the cache has is refused", async () => {
    const { run, texts, server } = await shrunk(140_002);
    const { code, err } = await run();
    expect([code, texts()[0]]).toEqual([1, dockerfile(server.url, [shape, stale, u2net])]);
    expect(err).toContain("it has 70.0 kB, less than half of the 140.0 kB of the pinned file");
    expect((await run({ FORCE: "1" })).code).toBe(0);
    expect(texts()[0]).toBe(dockerfile(server.url, [shape, codeformer, u2net]));
  });

  test("but not that much is taken", async () => {
    expect((await (await shrunk(140_000)).run()).code).toBe(0);
  });
});

test("CHECK=1 tells what is no model, too", async () => {
  const { run, server } = await project([shape, stale, u2net]);
  server.answer((request, ...rest) =>
    request.url === "/codeformer.pth" ? rest[0].end(lfs) : staticFile(bodies[request.url!]!)(request, ...rest),
  );
  const { code, out } = await run({ CHECK: "1" });
  expect(code).toBe(1);
  expect(out).toContain("is no model: it is a Git LFS pointer");
});

describe("the bytes of a Dockerfile", () => {
  test("that are no UTF-8 stay as they are", async () => {
    const { run, paths, server } = await project([stale, codeformer, u2net]);
    const odd = Buffer.concat([
      Buffer.from([0x23, 0x20, 0xff, 0xfe, 0xc3, 0x28, 0x00, 0x85, 0xa0, 0x0a]),
      Buffer.from(dockerfile(server.url, [stale, codeformer, u2net])),
      Buffer.from([0x0a, 0x23, 0xe2, 0x28, 0xa1]),
    ]);
    writeFileSync(paths[0], odd);
    expect((await run()).code).toBe(0);
    const expected = Buffer.from(odd.toString("latin1").replaceAll(stale, shape), "latin1");
    expect(readFileSync(paths[0]).equals(expected)).toBe(true);
  });

  test("that somebody changes during the download are not overwritten, and nothing else is", async () => {
    const { start, paths, texts, server } = await project([stale, codeformer, u2net]);
    const gate = Promise.withResolvers<void>();
    server.answer(async (request, ...rest) => {
      await gate.promise;
      staticFile(bodies[request.url!]!)(request, ...rest);
    });
    const child = start();
    let err = "";
    child.stderr!.on("data", (text) => (err += text));
    while (server.requests.length < 3) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [cpu] = texts();
    const edited = `${texts()[1]}\n# an edit\n`;
    writeFileSync(paths[1], edited);
    gate.resolve();
    const [code] = await once(child, "close");
    expect(code).toBe(1);
    expect(err).toContain(
      `${paths[1]} was changed by somebody else in the meantime. Nothing was replaced; start again.`,
    );
    expect(texts()).toEqual([cpu, edited]);
  });

  test("keep their mode, group bits included", () => {
    const path = join(temporaryFolder(), "Dockerfile");
    writeFileSync(path, "before");
    chmodSync(path, 0o664);
    replaceFiles([{ path, text: "after" }]);
    expect([statSync(path).mode & 0o7777, readFileSync(path, "utf8")]).toEqual([0o664, "after"]);
  });
});

describe("a Dockerfile that cannot be used is one sentence without a stack trace:", () => {
  const readable = /^[^\n]+\n$/;

  test.each([
    ["missing", () => {}, "cannot be read: it does not exist (ENOENT)."],
    ["a folder", (path: string) => mkdirSync(path), "cannot be read: it is not a file."],
    ["a pipe", (path: string) => execFileSync("mkfifo", [path]), "cannot be read: it is not a file."],
  ])("%s", async (_what, make, why) => {
    const { run, paths, server } = await project([stale, stale, stale]);
    rmSync(paths[1]);
    make(paths[1]);
    const { code, err } = await run();
    expect([code, err]).toEqual([1, `${paths[1]} ${why}\n`]);
    expect(server.requests.length).toBe(0);
  });

  test.each([
    ["a link to the other", symlinkSync],
    ["the other under a second name", linkSync],
  ])("%s", async (_what, link) => {
    const { run, paths } = await project([stale, stale, stale]);
    rmSync(paths[1]);
    link(paths[0], paths[1]);
    const { code, err } = await run();
    expect([code, err]).toEqual([1, `${paths[0]} and ${paths[1]} are the same file; name it once.\n`]);
  });

  test.skipIf(!mountable())("in a folder that is read-only (needs root, to mount a small tmpfs)", async () => {
    const { run, paths, texts, folder } = await project([stale, codeformer, u2net]);
    execFileSync("mount", ["--bind", folder, folder]);
    onTestFinished(() => void execFileSync("umount", [folder]));
    execFileSync("mount", ["-o", "remount,bind,ro", folder]);
    const before = texts();
    const { code, err } = await run();
    expect(code).toBe(1);
    expect(err.split("\n").at(-2)).toBe(
      `${paths[0]} cannot be replaced: the file system is read-only (EROFS). All files are as they were.`,
    );
    expect(texts()).toEqual(before);
  });

  test("with a URL that cannot be fetched", async () => {
    const { run, paths } = await project([stale, stale, stale]);
    const text = readFileSync(paths[0], "utf8").replace(
      /^ARG U2NET_URL=.*$/m,
      "ARG U2NET_URL=bob:hidden@host/u2net.onnx",
    );
    for (const path of paths) {
      writeFileSync(path, text);
    }
    const { code, err } = await run();
    expect(code).toBe(1);
    expect(err).toMatch(readable);
    expect(err).toContain("cannot be read as a URL");
    expect(err).not.toContain("hidden");
  });
});

test("URLs in the Dockerfiles are never shown with their secrets", async () => {
  const { run, paths, server } = await project([stale, codeformer, u2net]);
  const url = `${server.url.replace("://", "://bob:hidden1@")}/codeformer.pth?token==hidden2`;
  const line = /^ARG CODEFORMER_URL=.*$/m;
  for (const path of paths) {
    writeFileSync(path, readFileSync(path, "utf8").replace(line, `ARG CODEFORMER_URL=${url}`));
  }
  server.answer((request, response) => {
    const path = new URL(request.url!, "http://h").pathname;
    return path === "/codeformer.pth" ? response.writeHead(403).end() : void response.end(bodies[path]);
  });
  const refused = await run();
  expect(refused.err).toContain("/codeformer.pth?token=*** cannot be fetched: the server answered 403 Forbidden.");
  const other = readFileSync(paths[0], "utf8").replace("hidden2", "hidden3");
  writeFileSync(paths[1], other);
  const disagreeing = await run();
  expect(disagreeing.err).toContain("which differ in what is not shown");
  writeFileSync(paths[1], `${other}\nARG CODEFORMER_URL=${url}\n`);
  const twice = await run();
  expect(twice.err).toContain("ARG CODEFORMER_URL has two values in one Dockerfile: ");
  for (const { out, err } of [refused, disagreeing, twice]) {
    expect(out + err).not.toContain("hidden");
  }
});

function mountable(): boolean {
  try {
    return process.getuid?.() === 0 && execFileSync("unshare", ["-m", "true"]).length === 0;
  } catch {
    return false;
  }
}
