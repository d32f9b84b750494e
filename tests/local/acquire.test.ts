import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { reachable } from "../../local/acquire.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) {
    cleanup();
  }
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/tool.tar.gz`;
}

test.each([200, 403, 404, 500])("a site is reachable when it answers %s", async (status) => {
  expect(await reachable(await serve((_, response) => response.writeHead(status).end()))).toBe(true);
});

test("a site that says nothing is not waited for, and one that is not there is not reachable", async () => {
  expect(await reachable(await serve(() => {}), 100)).toBe(false);
  expect(await reachable("http://127.0.0.1:2/")).toBe(false);
});
