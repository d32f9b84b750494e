import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createRawServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";

export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export interface TestServer {
  url: string;
  requests: IncomingMessage[];
  /** Replaces what it answers from now on. */
  answer(handler: Handler): void;
  close(): Promise<void>;
}

/** A loopback server for the length of one test; `count` numbers the requests from 1. */
export async function serve(
  handler: Handler,
  on: { connect?: (request: IncomingMessage, socket: Duplex) => void } = {},
): Promise<TestServer> {
  let current = handler;
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.on("error", () => {});
    current(request, response, requests.length);
  });
  if (on.connect) {
    server.on("connect", on.connect);
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    answer: (next) => {
      current = next;
    },
    close,
  };
}

/** A loopback server that speaks whatever `answer` writes, once per request, for the length of one test. */
export async function serveRaw(
  answer: (socket: Socket, request: string, count: number) => void,
): Promise<TestServer["url"]> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createRawServer((socket) => {
    sockets.add(socket);
    let text = "";
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const request = text.slice(0, end);
        text = text.slice(end + 4);
        answer(socket, request, ++count);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers like a good static file server: ETag, conditions and ranges. */
export function staticFile(body: Buffer, etag = `"${sha256(body).slice(0, 16)}"`): Handler {
  return (request, response) => {
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, { etag }).end();
      return;
    }
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
    const fresh = request.headers["if-range"] === undefined || request.headers["if-range"] === etag;
    if (!Number.isNaN(start) && fresh) {
      response.writeHead(206, {
        etag,
        "content-length": body.length - start,
        "content-range": `bytes ${start}-${body.length - 1}/${body.length}`,
      });
      response.end(body.subarray(start));
      return;
    }
    response.writeHead(200, { etag, "content-length": body.length }).end(body);
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that do not compress and differ from call to call. */
export function noise(length: number): Buffer {
  return randomBytes(length);
}

/** An empty folder for the length of one test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
