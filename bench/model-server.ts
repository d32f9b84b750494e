// Serves /raw/<bytes>.bin, repeating a block from memory, and /file/<absolute path>: no disk takes part in what is timed.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const block = randomBytes(1 << 24);
const contents = new Map<string, Buffer>();

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url ?? "", "http://h").pathname);
  const etag = `"${path}"`;
  if (request.headers["if-none-match"] === etag) {
    response.writeHead(304, { etag }).end();
    return;
  }
  const raw = Number(/^\/raw\/(\d+)\.bin$/.exec(path)?.[1] ?? Number.NaN);
  if (!Number.isNaN(raw)) {
    response.writeHead(200, { etag, "content-length": raw });
    repeat(response, raw);
    return;
  }
  if (path.startsWith("/sha256/")) {
    response.end(hashOf(Number(path.slice(8))));
    return;
  }
  const file = path.replace(/^\/file/, "");
  const body = contents.get(file) ?? readFileSync(file);
  contents.set(file, body);
  response.writeHead(200, { etag, "content-length": body.length }).end(body);
});

function repeat(response: ServerResponse, length: number): void {
  let sent = 0;
  const more = () => {
    while (sent < length) {
      const at = sent % block.length;
      const chunk = block.subarray(at, Math.min(at + (1 << 18), block.length, at + length - sent));
      sent += chunk.length;
      if (!response.write(chunk)) {
        return;
      }
    }
    response.off("drain", more).end();
  };
  response.on("drain", more);
  more();
}

function hashOf(length: number): string {
  const hash = createHash("sha256");
  for (let done = 0; done < length; done += block.length) {
    hash.update(block.subarray(0, Math.min(block.length, length - done)));
  }
  return hash.digest("hex");
}

server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
