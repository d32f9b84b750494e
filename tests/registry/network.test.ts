import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { asRoot } from "../namespace.ts";
import { run } from "../run.ts";
import { Contents, hasOpenssl, serve, serveProxy, serveTls, sha256, temporaryFolder } from "./server.ts";

const canMount = process.platform === "linux" && spawnSync("unshare", [...asRoot, "-m", "true"]).status === 0;
const repositoryModule = join(import.meta.dirname, "../../registry/repository.ts");
const program = `import { Repository } from ${JSON.stringify(repositoryModule)};
const [name, digest] = process.argv.slice(1);
const repository = new Repository(name, { username: "user", password: "pass-hidden" });
try {
  await repository.manifest("cpu");
  console.log(String(await repository.blob({ digest })));
} catch (error) {
  console.log(error.message);
}`;

/** The environment of this process, without what it says of proxies and CAs, and with what a test says. */
function environment(own: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/_proxy$|^SSL_CERT|^NODE_EXTRA_CA|^NODE_OPT/i.test(name),
  );
  return { ...Object.fromEntries(kept), DOCKER_CONFIG: "/nowhere", ...own };
}

/** What a process of its own, in this environment, gets from a repository: a blob's text, or the error. */
async function fetched(
  name: string,
  digest: string,
  own: Record<string, string>,
  before: string[] = [],
): Promise<string> {
  const node = [process.execPath, "--input-type=module", "-e", program, name, digest];
  return (await run([...before, ...node], import.meta.dirname, environment(own))).text.trim();
}

describe.skipIf(!hasOpenssl)("a registry with a CA of its own", () => {
  /** A registry whose blobs lie on another server; both have the same CA. */
  async function registry() {
    const contents = new Contents();
    const { digest } = contents.blob("the blob");
    contents.manifest("{}", "cpu");
    const seen: string[] = [];
    const server = await serveTls((request, response) => {
      seen.push(`${request.headers.host} ${request.url?.split("/").at(-2)} ${request.headers.authorization}`);
      if (request.headers.authorization === undefined && !request.url?.includes("moved")) {
        response.writeHead(401, { "www-authenticate": "Basic" }).end();
      } else if (request.url?.includes("/blobs/") && !request.url.includes("moved")) {
        const location = `https://registry.test:${server.port}${request.url}?moved&sig=x`;
        response.writeHead(307, { location }).end();
      } else {
        request.url = request.url?.replace("?moved&sig=x", "");
        contents.answer(request, response);
      }
    });
    return { ...server, digest, seen, name: `localhost:${server.port}/facecraft` };
  }

  test("is not trusted until somebody says so, and the error tells how", async () => {
    const { name, digest } = await registry();
    expect(await fetched(name, digest, {})).toMatch(
      /^The registry localhost:\d+ is not trusted: TLS failed \(\w*SELF_SIGNED\w*\); add its CA to the system's, or name a file with it in SSL_CERT_FILE\.$/,
    );
  });

  test("is trusted by the file of SSL_CERT_FILE, or of NODE_EXTRA_CA_CERTS", async () => {
    const { name, digest, ca, port } = await registry();
    const proxy = await serveProxy(port);
    // The proxy stands for a name server: registry.test is on no other.
    const both = { HTTPS_PROXY: proxy.url };
    expect(await fetched(name, digest, { ...both, SSL_CERT_FILE: ca })).toBe("the blob");
    expect(await fetched(name, digest, { ...both, NODE_EXTRA_CA_CERTS: ca })).toBe("the blob");
  });

  test.skipIf(!canMount)("is trusted by the system's store alone", async () => {
    const { name, digest, ca, port } = await registry();
    const proxy = await serveProxy(port);
    const store = "/etc/ssl/certs/ca-certificates.crt";
    const bundle = join(temporaryFolder(), "bundle.crt");
    copyFileSync(store, bundle);
    writeFileSync(bundle, `${execFileSync("cat", [bundle, ca])}`);
    // In a mount namespace of its own, so that nobody else trusts it.
    const inside = ["unshare", ...asRoot, "-m", "sh", "-c", `mount --bind ${bundle} ${store} && exec "$@"`, "sh"];
    expect(await fetched(name, digest, { HTTPS_PROXY: proxy.url }, inside)).toBe("the blob");
  });

  test("does not give its credentials to where its blobs lie", async () => {
    const { name, digest, ca, port, seen } = await registry();
    const proxy = await serveProxy(port);
    await fetched(name, digest, { HTTPS_PROXY: proxy.url, SSL_CERT_FILE: ca });
    const authorization = `Basic ${btoa("user:pass-hidden")}`;
    expect(seen).toEqual([
      `localhost:${port} manifests undefined`,
      `localhost:${port} manifests ${authorization}`,
      `localhost:${port} blobs ${authorization}`,
      `registry.test:${port} blobs undefined`,
    ]);
  });

  test("is asked through the proxy of the environment, with the proxy's own login, but for what NO_PROXY names", async () => {
    const { name, digest, ca, port } = await registry();
    const proxy = await serveProxy(port);
    const through = { HTTPS_PROXY: proxy.url.replace("//", "//bob:hidden@"), SSL_CERT_FILE: ca };
    expect(await fetched(name, digest, through)).toBe("the blob");
    expect(new Set(proxy.asked)).toEqual(new Set([`localhost:${port}`, `registry.test:${port}`]));
    expect(new Set(proxy.logins)).toEqual(new Set([`Basic ${btoa("bob:hidden")}`]));

    proxy.asked.length = 0;
    expect(await fetched(name, digest, { ...through, NO_PROXY: "localhost" })).toBe("the blob");
    expect(new Set(proxy.asked)).toEqual(new Set([`registry.test:${port}`]));
  });

  test("that redirects from https to http is not followed", async () => {
    const storage = await serve((_, response) => response.end("the blob"));
    const { port, ca } = await serveTls((request, response) =>
      request.url?.includes("/blobs/")
        ? response.writeHead(302, { location: `http://${storage}/x?sig=secret` }).end()
        : response.end("{}"),
    );
    expect(await fetched(`localhost:${port}/facecraft`, "x", { SSL_CERT_FILE: ca })).toBe(
      `https://localhost:${port}/v2/facecraft/blobs/x is redirected from https to ${storage} by http, which is not encrypted.`,
    );
  });
});

describe("a proxy", () => {
  beforeEach(() => vi.unstubAllEnvs());

  test("also stands before a registry on this machine that speaks no TLS", async () => {
    const contents = new Contents();
    const { digest } = contents.blob("the blob");
    contents.manifest("{}", "cpu");
    const host = await serve(contents.answer);
    const proxy = await serveProxy(Number(host.split(":")[1]));
    const name = `${host}/facecraft`;
    expect(await fetched(name, digest, { HTTP_PROXY: proxy.url })).toBe("the blob");
    expect(new Set(proxy.asked)).toEqual(new Set([host]));
  });

  test.each([
    ["http://bob:hidden@localhost:1", "cannot be reached: the connection was refused (ECONNREFUSED)."],
    ["http://bob:hidden@:bad", "cannot be asked: the proxy "],
  ])("that cannot be used (%s) is told without its password", async (proxy, what) => {
    const text = await fetched("registry.test/facecraft", sha256(""), { HTTPS_PROXY: proxy });
    expect(text).toContain(`The registry registry.test ${what}`);
    expect(text).not.toContain("hidden");
  });
});
