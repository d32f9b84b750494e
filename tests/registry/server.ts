import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as forward, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "tar-stream";
import { onTestFinished } from "vitest";

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-registry-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function sha256(content: string | Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** Puts a server on a free port of loopback for the length of a test. @returns its port */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    "closeAllConnections" in server && (server as unknown as { closeAllConnections(): void }).closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** A server without TLS. @returns `localhost:port` */
export async function serve(answer: RequestListener): Promise<string> {
  return `localhost:${await listen(createServer(answer))}`;
}

/** A server with a certificate of its own for localhost and registry.test. @returns its port and the certificate's file */
export async function serveTls(answer: RequestListener): Promise<{ port: number; ca: string }> {
  const folder = temporaryFolder();
  const [key, ca] = [join(folder, "key.pem"), join(folder, "ca.pem")];
  const names = "subjectAltName=DNS:localhost,DNS:registry.test";
  const made = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", ca];
  const request = ["req", "-x509", ...made, "-subj", "/CN=localhost", "-addext", names];
  execFileSync("openssl", request, { stdio: "ignore" });
  const server = createHttps({ key: readFileSync(key), cert: readFileSync(ca) }, answer);
  server.on("tlsClientError", () => {});
  return { port: await listen(server), ca };
}

/** A proxy that takes every tunnel, and every request, to one port of this machine. @returns its URL, and the hosts that it was asked for */
export async function serveProxy(port: number): Promise<{ url: string; asked: string[]; logins: string[] }> {
  const [asked, logins]: string[][] = [[], []];
  const server = createServer(({ url = "", headers }, response) => {
    const { host, pathname } = new URL(url);
    asked?.push(host);
    forward({ host: "127.0.0.1", port, path: pathname, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    }).end();
  });
  server.on("connect", (request: IncomingMessage, socket) => {
    asked?.push(request.url ?? "");
    logins?.push(request.headers["proxy-authorization"] ?? "");
    const tunnel = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on("error", () => socket.destroy());
    socket.on("error", () => tunnel.destroy());
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, asked: asked as string[], logins: logins as string[] };
}

/** An archive of files; a name that ends in a slash is a directory. */
export async function tarOf(files: Record<string, string>): Promise<Buffer> {
  const archive = pack();
  for (const [name, text] of Object.entries(files)) {
    archive.entry({ name, ...(name.endsWith("/") && { type: "directory" as const }) }, text);
  }
  archive.finalize();
  const pieces = [];
  for await (const piece of archive) {
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces);
}

/** What a registry answers by path, for a repository called "facecraft". */
export class Contents {
  readonly #answers = new Map<string, Buffer>();

  blob(content: string | Buffer): { digest: string; size: number } {
    const digest = sha256(content);
    this.#answers.set(`/v2/facecraft/blobs/${digest}`, Buffer.from(content));
    return { digest, size: Buffer.byteLength(content) };
  }

  /** @returns its digest */
  manifest(content: object | string, ...tags: string[]): string {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    for (const name of [sha256(text), ...tags]) {
      this.#answers.set(`/v2/facecraft/manifests/${name}`, Buffer.from(text));
    }
    return sha256(text);
  }

  /** An image with the given configuration and layers. @returns the manifest's digest */
  image(config: object, layers: readonly { content: Buffer; mediaType: string }[], ...tags: string[]): string {
    return this.manifest(
      {
        config: { mediaType: "application/vnd.oci.image.config.v1+json", ...this.blob(JSON.stringify(config)) },
        layers: layers.map(({ content, mediaType }) => ({ mediaType, ...this.blob(content) })),
      },
      ...tags,
    );
  }

  /** Answers a path with something else. */
  replace(path: string, content: string | Buffer): void {
    this.#answers.set(`/v2/facecraft/${path}`, Buffer.from(content));
  }

  readonly answer: RequestListener = (request, response) => {
    const found = this.#answers.get(request.url ?? "");
    const unknown = JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] });
    response.writeHead(found ? 200 : 404).end(found ?? unknown);
  };
}
