import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Handler, noise, serve, staticFile, temporaryFolder } from "./server.ts";
import { trial } from "./trial.ts";

const body = noise(100_000);
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

// What the machine itself sets must not decide these tests.
beforeEach(() => {
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toUpperCase(), undefined);
  }
  vi.stubEnv("SSL_CERT_FILE", undefined);
});
afterEach(() => void vi.unstubAllEnvs());

describe.skipIf(!hasOpenssl)("over TLS (needs openssl, to make a throw-away CA)", () => {
  test("a server of an unknown CA is refused, once, and caBundle is named as the remedy", async () => {
    const { url } = await serveTls(staticFile(body));
    await trial().refuses(`${url}/m.pth`, body, /TLS failed \(\w+\); .*caBundle/);
  });

  test("a server of the configured CA is trusted", async () => {
    const { url, caBundle } = await serveTls(staticFile(body));
    await trial().fetch(`${url}/m.pth`, body, { caBundle });
  });

  test("a server of the CA in SSL_CERT_FILE is trusted", async () => {
    const { url, caBundle } = await serveTls(staticFile(body));
    vi.stubEnv("SSL_CERT_FILE", caBundle);
    await trial().fetch(`${url}/m.pth`, body);
  });

  test("a redirect to http is refused", async () => {
    const plain = await serve(staticFile(body));
    const { url, caBundle } = await serveTls((_request, response) =>
      response.writeHead(302, { location: `${plain.url}/m.pth?sig=hidden` }).end(),
    );
    const error = await trial().refuses(`${url}/m.pth`, body, "which is not encrypted", { caBundle });
    expect(error.message).toContain(`redirects from https to ${plain.url}/m.pth?sig=***`);
    expect(plain.requests.length).toBe(0);
  });
});

test("a CA bundle that is missing, or none, is named", async () => {
  const none = join(temporaryFolder(), "none.pem");
  writeFileSync(none, "not a certificate");
  await trial().refuses("https://127.0.0.1:1/m.pth", body, "/nowhere.pem cannot be read (ENOENT)", {
    caBundle: "/nowhere.pem",
  });
  await trial().refuses("https://127.0.0.1:1/m.pth", body, "none.pem holds no PEM certificate", { caBundle: none });
});

describe("a proxy from the environment", () => {
  test("is used for http, except for the hosts of NO_PROXY", async () => {
    const proxy = await serve(staticFile(body));
    vi.stubEnv("http_proxy", proxy.url);
    await trial().fetch("http://models.invalid/m.pth", body);
    expect(proxy.requests[0]?.url).toBe("http://models.invalid/m.pth");
    vi.stubEnv("no_proxy", "127.0.0.1");
    const server = await serve(staticFile(body));
    await trial().fetch(`${server.url}/m.pth`, body);
    expect(proxy.requests.length).toBe(1);
  });

  test.skipIf(!hasOpenssl)("is asked for a tunnel for https", async () => {
    const { url, caBundle } = await serveTls(staticFile(body));
    const asked: string[] = [];
    const proxy = await serve((_request, response) => response.writeHead(400).end(), {
      connect: (request, socket) => {
        asked.push(request.url ?? "");
        const upstream = connect(Number(new URL(url).port), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          socket.pipe(upstream).pipe(socket);
        });
        for (const end of [socket, upstream]) {
          end.on("error", () => {});
        }
      },
    });
    vi.stubEnv("https_proxy", proxy.url);
    await trial().fetch(`${url}/m.pth`, body, { caBundle });
    expect(asked).toEqual([new URL(url).host]);
  });

  test("that cannot be reached is a cause in words", async () => {
    vi.stubEnv("http_proxy", "http://user:hidden@127.0.0.1:1");
    const error = await trial().refuses("http://models.invalid/m.pth", body, "refused", { retries: 0 });
    expect(error.message).not.toContain("hidden");
  });
});

describe("file://", () => {
  test("serves an air-gapped machine, decompressed by suffix like any other", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a b#c.dat.bz2");
    writeFileSync(path, execFileSync("bzip2", ["-c"], { input: body, maxBuffer: 1 << 24 }));
    const t = trial();
    const artifact = await t.fetch(pathToFileURL(path).href, body);
    expect(readFileSync(artifact.path)).toEqual(body);
    writeFileSync(path, execFileSync("bzip2", ["-c"], { input: noise(1000) }));
    await t.refuses(pathToFileURL(path).href, body, "wrong sha256: ");
  });

  test("that does not exist is a cause in words", async () => {
    await trial().refuses("file:///nowhere/m.pth", body, "there is no such file");
    await trial().refuses(pathToFileURL(temporaryFolder()).href, body, "it is a folder, not a file");
  });
});

describe("a file:// URL that names no usable file is a cause in words, and the next mirror is asked:", () => {
  test.each([
    ["file:///a%2Fb", "the path holds %2F, %00 or bytes that are not UTF-8"],
    ["file:///a%00b", "the path holds %2F, %00 or bytes that are not UTF-8"],
    ["file:///a%FFb", "the path holds %2F, %00 or bytes that are not UTF-8"],
    [`file:///${"a".repeat(300)}`, "a name is too long (ENAMETOOLONG)"],
    ["file:///dev/zero", "it is not a regular file"],
    ["file:///dev/null/x", "a part of the path is not a folder (ENOTDIR)"],
  ])("%.30s", async (url, cause) => {
    const server = await serve(staticFile(body));
    const { fetch, refuses, warnings } = trial();
    await refuses(url, body, cause);
    expect((await fetch([url, `${server.url}/m.pth`], body)).url).toBe(`${server.url}/m.pth`);
    expect(warnings[0]).toContain(cause);
  });

  test("a pipe that nobody writes to, which is refused at once", async () => {
    const path = join(temporaryFolder(), "pipe");
    execFileSync("mkfifo", [path]);
    await trial().refuses(pathToFileURL(path).href, body, "it is not a regular file");
  });

  test("a file that grows while it is read", async () => {
    const path = join(temporaryFolder(), "m.pth");
    const big = noise(3 << 20);
    writeFileSync(path, big);
    const onProgress = () => appendFileSync(path, "more");
    await trial().refuses(pathToFileURL(path).href, big, "the file changed while it was read", { onProgress });
  });
});

test("a host name that does not exist is a cause in words", async () => {
  await trial().refuses("http://models.invalid/m.pth", body, /host name (is unknown|could not be looked up)/, {
    retries: 0,
  });
});

/** An https server on loopback with a certificate of its own, which is also the CA bundle to trust. */
async function serveTls(handler: Handler): Promise<{ url: string; caBundle: string }> {
  const folder = temporaryFolder();
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const request = [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-keyout",
    key,
    "-out",
    cert,
    ...subject,
  ];
  execFileSync("openssl", request, { stdio: "ignore" });
  let count = 0;
  const server = createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, response) =>
    handler(incoming, response, ++count),
  );
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, caBundle: cert };
}
