import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { withLock } from "../../artifacts/lock.ts";
import { type Handler, noise, serve, sha256, temporaryFolder } from "./server.ts";
import { files, trial } from "./trial.ts";

const child = fileURLToPath(new URL("./child.ts", import.meta.url));

function start(url: string, hash: string, cacheDir: string): ChildProcess {
  // Compiled once for all of them: most of what such a process does is to start.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "facecraft-test-compiled") };
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
    while (server.requests.length === begun) await pause(5);
    await pause(Math.random() * 300);
    for (const process of children) process.kill("SIGKILL");
    await Promise.all(ends);
    for (const name of files(cacheDir)) {
      if (/^[0-9a-f]{64}$/.test(name)) {
        expect(sha256(readFileSync(`${cacheDir}/${name}`))).toBe(name);
        rmSync(`${cacheDir}/${name}`);
      } else if (name.endsWith(".part")) midway++;
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
    const waiting = withLock(name, async () => expect.unreachable(), abort.signal);
    setTimeout(() => abort.abort(new Error("stopped")), 20);
    await expect(waiting).rejects.toThrow("stopped");
  });
});
