// The servers behind tests/namespace.ts: `node world-server.ts FOLDER`, with what they answer in FOLDER/routes.json.
import { once } from "node:events";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

interface Route {
  status?: number;
  headers?: Record<string, string>;
  /** File with the body. */
  body: string;
  cutAfter?: number;
  times?: number;
  stalls?: boolean;
}

const folder = process.argv[2] ?? "";
const routes = JSON.parse(readFileSync(join(folder, "routes.json"), "utf8")) as Record<string, Route>;
writeFileSync(join(folder, "asked"), "");

const answer =
  (scheme: string): RequestListener =>
  (request, response) => {
    const address = `${scheme}://${request.headers.host}${request.url}`;
    appendFileSync(join(folder, "asked"), `${address}\n`);
    const route = routes[address];
    if (route === undefined) {
      response.writeHead(404).end();
      return;
    }
    const body = readFileSync(route.body);
    const headers = { etag: '"1"', "content-length": String(body.length), ...route.headers };
    if (route.cutAfter !== undefined && route.times !== 0) {
      route.times = (route.times ?? Infinity) - 1;
      response.writeHead(200, headers).write(body.subarray(0, route.cutAfter), () => {
        if (!route.stalls) {
          response.destroy();
        }
      });
      return;
    }
    const first = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    if (first && (route.status ?? 200) === 200) {
      const [from, to] = [Number(first[1]), first[2] ? Number(first[2]) : body.length - 1];
      const part = body.subarray(from, to + 1);
      const range = `bytes ${from}-${from + part.length - 1}/${body.length}`;
      response.writeHead(206, { ...headers, "content-length": String(part.length), "content-range": range }).end(part);
      return;
    }
    response.writeHead(route.status ?? 200, headers).end(request.method === "HEAD" ? undefined : body);
  };

const [key, cert] = ["site.key", "site.pem"].map((name) => readFileSync(join(folder, name)));
const plain = createServer(answer("http"));
// A proxy, too: it reaches every host, also those that nobody else can.
plain.on("connect", (request, client: Socket) => {
  appendFileSync(join(folder, "asked"), `CONNECT ${request.url}\n`);
  const site = connect(443, "127.0.0.1", () => client.write("HTTP/1.1 200 Connected\r\n\r\n"));
  site.on("error", () => client.destroy()).pipe(client);
  client.on("error", () => site.destroy()).pipe(site);
});
const secure = createSecureServer({ key, cert }, answer("https"));
await Promise.all(
  [plain.listen(80, "127.0.0.1"), secure.listen(443, "127.0.0.1")].map((server) => once(server, "listening")),
);
writeFileSync(join(folder, "ready"), "");
