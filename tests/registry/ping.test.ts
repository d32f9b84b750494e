import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ping } from "../../registry/ping.ts";
import { hasOpenssl, listen, serve, serveProxy, serveTls } from "./server.ts";

beforeEach(() => {
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toUpperCase(), undefined);
  }
});
afterEach(() => void vi.unstubAllEnvs());

test("a registry that answers in any way is there: without TLS, or with a certificate that nobody trusts", async () => {
  await ping(`${await serve((_, response) => response.writeHead(500).end())}/facecraft`);
  if (hasOpenssl) {
    const { port } = await serveTls((_, response) => response.writeHead(401).end());
    await ping(`localhost:${port}/facecraft`);
  }
});

test("a registry that is not there, or has no address, is said with its name and what happened", async () => {
  await expect(ping("localhost:1/facecraft")).rejects.toThrow(
    "The registry localhost:1 cannot be reached: ECONNREFUSED.",
  );
  await expect(ping("registry.invalid/facecraft")).rejects.toThrow(
    /^The registry registry\.invalid cannot be reached: (ENOTFOUND|EAI_AGAIN)\.$/,
  );
});

test("a registry that says nothing is not waited for", async () => {
  const host = `localhost:${await listen(createServer(() => {}))}`;
  await expect(ping(`${host}/facecraft`, 200)).rejects.toThrow(
    `The registry ${host} cannot be reached: no answer within 0.2 s.`,
  );
});

test.skipIf(!hasOpenssl)("a registry behind a proxy is asked through it", async () => {
  const { port } = await serveTls((_, response) => response.end());
  const proxy = await serveProxy(port);
  vi.stubEnv("HTTPS_PROXY", proxy.url.replace("//", "//user:hidden@"));
  await ping("registry.test/facecraft");
  expect(proxy.asked).toEqual(["registry.test:443"]);

  vi.stubEnv("NO_PROXY", "registry.test");
  await expect(ping("registry.test/facecraft")).rejects.toThrow(/^The registry registry\.test cannot be reached: /);
  expect(proxy.asked).toHaveLength(1);

  vi.stubEnv("HTTPS_PROXY", "http://user:hidden@localhost:1");
  await expect(ping("other.test/facecraft")).rejects.toThrow(
    /^(?!.*hidden)The registry other\.test cannot be reached: /,
  );
});
