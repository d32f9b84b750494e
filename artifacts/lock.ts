import { createHash } from "node:crypto";
import { once } from "node:events";
import { readlinkSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/**
 * Runs `work` while no other process of this machine runs it for the same name. The lock is a listening local socket, so
 * the kernel frees it however its holder ends, and those who wait are woken at once. It saves double downloads; nothing
 * goes wrong where it cannot work (another machine or container with the same cache).
 */
export async function withLock<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const address = addressOf(name);
  const waiters = new Set<Socket>();
  const server = await acquire(address, waiters, signal);
  try {
    return await work();
  } finally {
    server?.close();
    for (const socket of waiters) socket.destroy();
  }
}

/** Where locks are seen: part files of another scope may be in use although we hold the lock. */
export const lockScope = digest(`${hostname()} ${networkNamespace()}`).slice(0, 8);

async function acquire(address: string, waiters: Set<Socket>, signal?: AbortSignal): Promise<Server | undefined> {
  for (;;) {
    signal?.throwIfAborted();
    const server = createServer((socket) => {
      waiters.add(socket);
      socket.on("error", () => {}).on("close", () => waiters.delete(socket));
      socket.resume();
    });
    server.listen(address);
    try {
      await once(server, "listening");
      return server.unref();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return undefined;
    }
    if (!(await holderEnded(address, signal)) && !address.startsWith("\0")) removeStale(address);
  }
}

/** Waits for the holder to end; false when there was none to connect to. */
async function holderEnded(address: string, signal?: AbortSignal): Promise<boolean> {
  const socket = connect(address);
  const stop = () => socket.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  let connected = false;
  socket.on("connect", () => {
    connected = true;
  });
  socket.on("error", () => {}).resume();
  await new Promise((resolve) => socket.once("close", resolve));
  signal?.removeEventListener("abort", stop);
  return connected;
}

/** Linux has names outside the file system, which vanish with their holder; elsewhere a dead holder's socket file stays. */
function addressOf(name: string): string {
  const id = `facecraft-${userInfo().uid}-${digest(name).slice(0, 32)}`;
  if (process.platform === "linux") return `\0${id}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${id}` : join(tmpdir(), id);
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Someone else was faster.
  }
}

function networkNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/net");
  } catch {
    return "";
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
