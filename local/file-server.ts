// Serves a folder over HTTP on loopback, with ETags and ranges: `node file-server.ts FOLDER PORT`.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize, resolve } from "node:path";
import { pipeline } from "node:stream/promises";

const [folder = ".", port = "0"] = process.argv.slice(2);

const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname));
  let file = join(resolve(folder), path);
  let status = await stat(file, { bigint: true }).catch(() => undefined);
  if (status?.isDirectory()) {
    file = join(file, "index.html");
    status = await stat(file, { bigint: true }).catch(() => undefined);
  }
  if (!status?.isFile() || !["GET", "HEAD"].includes(request.method ?? "")) {
    response.writeHead(404).end();
    return;
  }
  const size = Number(status.size);
  // The time of the last change of anything about the file: whoever edits a byte cannot leave the ETag as it was.
  const headers: Record<string, string> = {
    etag: `"${status.ino.toString(36)}-${status.size.toString(36)}-${status.ctimeNs.toString(36)}"`,
    "last-modified": new Date(Number(status.mtimeMs)).toUTCString(),
    "accept-ranges": "bytes",
    "content-type": file.endsWith(".html") ? "text/html" : "application/octet-stream",
  };
  if (request.headers["if-none-match"] === headers.etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const ifRange = request.headers["if-range"];
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const first = range && (ifRange === undefined || ifRange === headers.etag) ? Number(range[1]) : 0;
  const last = range?.[2] && first > 0 ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (first > last && size > 0) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  const partial: Record<string, string> = first > 0 ? { "content-range": `bytes ${first}-${last}/${size}` } : {};
  response.writeHead(first > 0 ? 206 : 200, { ...headers, ...partial, "content-length": String(last - first + 1) });
  if (request.method === "HEAD" || size === 0) {
    response.end();
    return;
  }
  // The client may leave at any time.
  await pipeline(createReadStream(file, { start: first, end: last }), response).catch(() => {});
});

server.listen(Number(port), "127.0.0.1", () => {
  console.log((server.address() as AddressInfo).port);
});
