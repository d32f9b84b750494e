import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A registry in memory, with one repository `a/facecraft`; a test moves its tags, or puts another answer in front of it. */
export class FakeRegistry {
  readonly manifests = new Map<string, string>();
  readonly requests: string[] = [];
  /** Answers in place of the registry. */
  instead: RequestListener | undefined;
  readonly #server = createServer((request, response) => {
    this.requests.push(`${request.method} ${request.url}`);
    if (this.instead) {
      this.instead(request, response);
      return;
    }
    void this.#take(request).then(([status, body, headers]) => response.writeHead(status, headers).end(body));
  });

  static async start(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  get repository(): string {
    return `localhost:${(this.#server.address() as AddressInfo).port}/a/facecraft`;
  }

  /** Stores a manifest under a tag; returns its digest. */
  push(tag: string, note: string): string {
    const manifest = JSON.stringify({ schemaVersion: 2, config: { digest: `sha256:${"0".repeat(64)}` }, note });
    const digest = digestOf(manifest);
    this.manifests.set(tag, manifest).set(digest, manifest);
    return digest;
  }

  /** Attaches something to a manifest, as cosign does where there is no referrers API; returns its digest. */
  attach(subject: string, type: string): string {
    const manifest = JSON.stringify({ subject, annotations: { "dev.sigstore.bundle.predicateType": type } });
    const list = subject.replace(":", "-");
    const { manifests = [] } = JSON.parse(this.manifests.get(list) ?? "{}");
    const digest = digestOf(manifest);
    this.manifests.set(digest, manifest);
    this.manifests.set(list, JSON.stringify({ manifests: [...manifests, { digest }] }));
    return digest;
  }

  /** The digest that a tag names. */
  names(tag: string): string | undefined {
    const manifest = this.manifests.get(tag);
    return manifest === undefined ? undefined : digestOf(manifest);
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #take(request: IncomingMessage): Promise<[number, string, Record<string, string>]> {
    const [, kind, reference = ""] = /^\/v2\/a\/facecraft\/(manifests)\/(.+)$/.exec(request.url ?? "") ?? [];
    if (kind === undefined) {
      return [request.url === "/v2/" ? 200 : 404, "{}", {}];
    }
    if (request.method === "PUT") {
      const manifest = await text(request);
      this.manifests.set(reference, manifest).set(digestOf(manifest), manifest);
      return [201, "", {}];
    }
    const manifest = this.manifests.get(reference);
    const type = { "content-type": "application/vnd.oci.image.manifest.v1+json" };
    return manifest === undefined
      ? [404, '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', {}]
      : [200, manifest, type];
  }
}

/** What a registry, or what stands in front of it, may answer that says nothing about an image. */
export const speechless: [string, RequestListener][] = [
  ["401", (_request, response) => response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end()],
  ["403", (_request, response) => response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"no"}]}')],
  ["429", (_request, response) => response.writeHead(429).end()],
  ["500", (_request, response) => response.writeHead(500).end("oops")],
  ["502", (_request, response) => response.writeHead(502).end("<html>Bad gateway</html>")],
  ["a page for logging in", (_request, response) => response.writeHead(200).end("<html>Who are you?</html>")],
  ["something else that is JSON", (_request, response) => response.writeHead(200).end('{"hello":"world"}')],
  ["nothing, and closes", (request) => request.socket.destroy()],
];

function digestOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
