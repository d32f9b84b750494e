import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, readlinkSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface LockOptions {
  signal?: AbortSignal | undefined;
  /** How long to wait for a holder that gives no sign of life, in milliseconds. Default: for ever. */
  patienceMs?: number | undefined;
  /** How long to wait in any case. Default: for ever. */
  longestMs?: number | undefined;
}

/** How the work was let in. */
export interface Turn {
  /** False when nobody could be kept out, or the wait for the holder was given up. */
  held: boolean;
  /** Whether another held the lock before. */
  waited: boolean;
}

// How often a holder tells those who wait that it lives.
const heartbeatMs = 2000;

/**
 * Runs `work` while no other process of this machine runs it for the same name. The lock is a listening local socket, so
 * the kernel frees it however its holder ends, and those who wait are woken at once. It saves double downloads; nothing
 * goes wrong where it cannot work (another machine or container with the same cache, a holder that was stopped).
 */
export async function withLock<T>(
  name: string,
  work: (turn: Turn) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const address = addressOf(name);
  const waiters = new Set<Socket>();
  const { server, waited } = await acquire(address, waiters, options);
  const heart = setInterval(() => {
    for (const socket of waiters) {
      socket.write("\n");
    }
  }, heartbeatMs).unref();
  try {
    return await work({ held: server !== undefined, waited });
  } finally {
    clearInterval(heart);
    server?.close();
    for (const socket of waiters) {
      socket.destroy();
    }
  }
}

/** Where locks are seen: part files of another scope may be in use although we hold the lock. */
export const lockScope = digest(process.platform === "linux" ? `${bootId()} ${networkNamespace()}` : folderScope());

async function acquire(
  address: string,
  waiters: Set<Socket>,
  { signal, patienceMs = Infinity, longestMs = Infinity }: LockOptions,
): Promise<{ server?: Server; waited: boolean }> {
  const startedAt = performance.now();
  let aliveAt = startedAt;
  const leftMs = () => Math.min(aliveAt + patienceMs, startedAt + longestMs) - performance.now();
  for (let waited = false; ; waited = true) {
    signal?.throwIfAborted();
    const server = createServer((socket) => {
      waiters.add(socket);
      socket.on("error", () => {}).on("close", () => waiters.delete(socket));
      // Who waits keeps the holder from ending no more than the server does.
      socket.resume().unref().write("\n");
    });
    server.listen(address);
    try {
      await once(server, "listening");
      return { server: server.unref(), waited };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") {
        return { waited };
      }
    }
    const connected = await holderEnded(
      address,
      leftMs,
      () => {
        aliveAt = performance.now();
      },
      signal,
    );
    if (leftMs() <= 0) {
      return { waited: true };
    }
    if (!connected) {
      if (!address.startsWith("\0")) {
        removeStale(address);
      }
      // Whatever has the name does not speak to us; it may be about to end.
      await sleep(20, undefined, { signal }).catch(() => {});
    }
  }
}

/** Waits for the holder to end, or for the time to be up; false when there was none to connect to. */
async function holderEnded(
  address: string,
  leftMs: () => number,
  onSign: () => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const socket = connect(address);
  const stop = () => socket.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  const timer = setInterval(() => leftMs() <= 0 && stop(), Math.max(1, Math.min(1000, leftMs())));
  let connected = false;
  socket.on("connect", () => {
    connected = true;
  });
  socket.on("error", () => {}).on("data", onSign);
  await new Promise((resolve) => socket.once("close", resolve));
  clearInterval(timer);
  signal?.removeEventListener("abort", stop);
  return connected;
}

/** Linux has names outside the file system, which vanish with their holder; elsewhere a dead holder's socket file stays. */
function addressOf(name: string): string {
  const id = `facecraft-${digest(name)}`;
  if (process.platform === "linux") {
    return `\0${id}`;
  }
  return process.platform === "win32" ? `\\\\.\\pipe\\${id}` : join(tmpdir(), id);
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Someone else was faster.
  }
}

/** Names of Linux are seen in one network namespace of one run of one kernel. */
function networkNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/net");
  } catch {
    return "";
  }
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
  } catch {
    return hostname();
  }
}

function folderScope(): string {
  return `${hostname()} ${tmpdir()}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
