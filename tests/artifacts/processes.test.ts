import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { Cache } from "../../artifacts/cache.ts";
import { withLock } from "../../artifacts/lock.ts";
import { type Handler, noise, serve, sha256, temporaryFolder } from "./server.ts";
import { files, trial } from "./trial.ts";

const child = fileURLToPath(new URL("./child.ts", import.meta.url));

function start(url: string, hash: string, cacheDir: string, more: NodeJS.ProcessEnv = {}): ChildProcess {
  // Compiled once for all of them: most of what such a process does is to start.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "facecraft-test-compiled"), ...more };
  return spawn(process.execPath, [child, url, hash, cacheDir], { env, stdio: ["ignore", "pipe", "inherit"] });
}

/** Sends the file in pieces, so that a process can be caught at any point of it. */
function slowly(body: Buffer, pieces: number, pauseMs: number): Handler {
  return (_request, response) => {
    response.writeHead(200, { "content-length": body.length });
    let sent = 0;
    const timer = setInterval(() => {
      if (sent >= pieces || response.destroyed) {
        clearInterval(timer);
        response.end();
        return;
      }
      response.write(body.subarray((body.length * sent) / pieces, (body.length * (sent + 1)) / pieces));
      sent++;
    }, pauseMs);
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("killed at 50 random moments, fetches leave nothing under a valid name, and then succeed at once", async () => {
  const bodies = new Map(Array.from({ length: 5 }, (_, i) => [`/${i}.pth`, noise(1 << 20)]));
  const server = await serve((request, ...rest) => slowly(bodies.get(request.url!)!, 16, 10)(request, ...rest));
  const cacheDir = temporaryFolder();
  let midway = 0;
  for (let round = 0; round < 10; round++) {
    const begun = server.requests.length;
    const children = [...bodies].map(([path, body]) => start(server.url + path, sha256(body), cacheDir));
    const ends = children.map((process) => once(process, "close"));
    // From the first request on, some are still starting, some in the middle, some at the end.
    while (server.requests.length === begun) {
      await pause(5);
    }
    await pause(Math.random() * 300);
    for (const process of children) {
      process.kill("SIGKILL");
    }
    await Promise.all(ends);
    for (const name of files(cacheDir)) {
      if (/^[0-9a-f]{64}$/.test(name)) {
        expect(sha256(readFileSync(`${cacheDir}/${name}`))).toBe(name);
        rmSync(`${cacheDir}/${name}`);
      } else if (name.endsWith(".part")) {
        midway++;
      }
    }
  }
  expect(midway).toBeGreaterThan(0);
  for (const [path, body] of bodies) {
    expect(readFileSync((await trial(cacheDir).fetch(server.url + path, body)).path)).toEqual(body);
  }
  const hashes = [...bodies.values()].map(sha256);
  expect(files(cacheDir)).toEqual(hashes.flatMap((hash) => [hash, `${hash}.json`]).sort());
}, 60_000);

test("processes that want the same file at the same time download it once", async () => {
  const body = noise(1 << 20);
  // No ETag: even so, those who waited for the download need no other.
  const server = await serve(slowly(body, 8, 100));
  const cacheDir = temporaryFolder();
  const children = Array.from({ length: 3 }, () => start(`${server.url}/m.pth`, sha256(body), cacheDir));
  const codes = await Promise.all(children.map((process) => once(process, "close")));
  expect(codes.map(([code]) => code)).toEqual([0, 0, 0]);
  expect(server.requests.length).toBe(1);
});

test("the lock is free at once when its holder is killed", async () => {
  const name = `test-${process.pid}-${Math.random()}`;
  const lock = fileURLToPath(new URL("../../artifacts/lock.ts", import.meta.url));
  const code = `import { withLock } from ${JSON.stringify(lock)};
    await withLock(${JSON.stringify(name)}, () => new Promise((resolve) => { console.log("held"); setTimeout(resolve, 60000); }));`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(holder.stdout!, "data");
  let held = true;
  const waiting = withLock(name, async () => expect(held).toBe(false));
  await new Promise((resolve) => setTimeout(resolve, 100));
  held = false;
  holder.kill("SIGKILL");
  await waiting;
});

test("a lock lets one in after the other, also within a process, and frees itself after an error", async () => {
  const name = `test-${process.pid}-${Math.random()}`;
  let inside = 0;
  const work = async () => {
    expect(++inside).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside--;
    throw new Error("done");
  };
  const all = await Promise.allSettled(Array.from({ length: 5 }, () => withLock(name, work)));
  expect(all.map((one) => one.status === "rejected" && one.reason.message)).toEqual(Array(5).fill("done"));
});

test("who waits for a lock can be stopped", async () => {
  const name = `test-${process.pid}-${Math.random()}`;
  const abort = new AbortController();
  await withLock(name, async () => {
    const waiting = withLock(name, async () => expect.unreachable(), { signal: abort.signal });
    setTimeout(() => abort.abort(new Error("stopped")), 20);
    await expect(waiting).rejects.toThrow("stopped");
  });
});

describe("two fetches of one folder under several names", () => {
  /** The same folder: as it is, with a slash, relative, through a link and with dots. */
  function spellings(folder: string): string[] {
    const link = join(temporaryFolder(), "link");
    symlinkSync(folder, link);
    return [folder, `${folder}/`, relative(process.cwd(), folder), link, join(folder, "x", "..")];
  }

  test("download once, and never delete each other's part file", async () => {
    const body = noise(1 << 20);
    const server = await serve(slowly(body, 8, 100));
    const dirs = spellings(temporaryFolder());
    const children = dirs.map((dir) => start(`${server.url}/m.pth`, sha256(body), dir));
    const codes = await Promise.all(children.map((process) => once(process, "close")));
    expect(codes.map(([code]) => code)).toEqual(dirs.map(() => 0));
    expect(server.requests.length).toBe(1);
  });

  test.skipIf(process.getuid?.() !== 0)("and under several users, too (needs root)", async () => {
    const body = noise(1 << 20);
    const server = await serve(slowly(body, 8, 100));
    const folder = temporaryFolder();
    chmodSync(folder, 0o777);
    const children = [0, 12_345, 54_321].map((uid) =>
      start(`${server.url}/m.pth`, sha256(body), folder, { TEST_UID: String(uid), HOME: undefined, USER: undefined }),
    );
    const codes = await Promise.all(children.map((process) => once(process, "close")));
    // Who has no entry in the system's list of users, and no home, can fetch as well.
    expect(codes.map(([code]) => code)).toEqual([0, 0, 0]);
    expect(server.requests.length).toBe(1);
  });
});

test("a holder that was stopped is not waited for beyond patience, and its part file survives", async () => {
  const body = noise(1 << 20);
  let count = 0;
  const server = await serve((request, response) => {
    // The first gets half, and then waits for the rest for as long as this test takes.
    if (++count > 1) {
      return slowly(body, 1, 1)(request, response, count);
    }
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, 1 << 19));
  });
  const cacheDir = temporaryFolder();
  const holder = start(`${server.url}/m.pth`, sha256(body), cacheDir);
  onTestFinished(() => void holder.kill("SIGKILL"));
  while (!files(cacheDir).some((name) => name.endsWith(".part"))) {
    await pause(10);
  }
  holder.kill("SIGSTOP");
  const part = files(cacheDir).filter((name) => name.endsWith(".part"));
  const told: string[] = [];
  const options = { idleTimeoutMs: 1000, waitEveryMs: 100, onWait: (sentence: string) => told.push(sentence) };
  expect(readFileSync((await trial(cacheDir).fetch(`${server.url}/m.pth`, body, options)).path)).toEqual(body);
  expect(told).toContain("CodeFormer: waiting for another process that fetches it.");
  expect(files(cacheDir)).toEqual(expect.arrayContaining(part));
});

test("who works without the lock keeps its part file, whoever gets the lock meanwhile", async () => {
  const cacheDir = temporaryFolder();
  const body = noise(1000);
  const without = await new Cache(cacheDir).partFile(sha256(body) as never);
  writeFileSync(without, "half");
  const server = await serve(slowly(body, 1, 1));
  await trial(cacheDir).fetch(`${server.url}/m.pth`, body);
  expect(existsSync(without)).toBe(true);
});

test("a holder that lives is waited for, however long it is silent otherwise", async () => {
  const name = `test-${process.pid}-${Math.random()}`;
  const release = Promise.withResolvers<void>();
  const holding = withLock(name, () => release.promise);
  const entered = withLock(name, async (turn) => turn, { patienceMs: 3000 });
  setTimeout(() => release.resolve(), 4500);
  await holding;
  expect(await entered).toEqual({ held: true, waited: true });
}, 60_000);

test("a name that others hold without speaking is not waited for beyond patience", async () => {
  const name = `test-${process.pid}-${Math.random()}`;
  const lock = fileURLToPath(new URL("../../artifacts/lock.ts", import.meta.url));
  const code = `import { withLock } from ${JSON.stringify(lock)};
    await withLock(${JSON.stringify(name)}, () => new Promise(() => { console.log("held"); setTimeout(() => {}, 60000); }));`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void holder.kill("SIGKILL"));
  await once(holder.stdout!, "data");
  holder.kill("SIGSTOP");
  expect(await withLock(name, async (turn) => turn, { patienceMs: 300 })).toEqual({ held: false, waited: true });
  expect(await withLock(name, async (turn) => turn, { longestMs: 300 })).toEqual({ held: false, waited: true });
});
