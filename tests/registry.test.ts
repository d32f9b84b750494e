import { createHash } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { compareModels, comparePublished, type Expectation } from "../components/published.ts";
import { Repository, registryOf } from "../components/registry.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) {
    cleanup();
  }
});

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return `localhost:${(server.address() as AddressInfo).port}`;
}

const digest = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

const labels = { "org.opencontainers.image.title": "facecraft" };
const config = JSON.stringify({
  config: {
    User: "1000:1000",
    Labels: labels,
    Healthcheck: { Test: ["CMD", "ask", "/ready"], Interval: 30e9, Timeout: 10e9, StartPeriod: 180e9, Retries: 3 },
  },
});
const manifest = JSON.stringify({ config: { digest: digest(config) } });
const healthcheck = { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "3m", retries: 3 };

/** A registry with one image; what a test gives stands in front of the right answers. */
function registry(wrong: Record<string, string> = {}): Promise<string> {
  const answers: Record<string, string> = {
    "/v2/facecraft/manifests/cpu": manifest,
    [`/v2/facecraft/manifests/${digest(manifest)}`]: manifest,
    [`/v2/facecraft/blobs/${digest(config)}`]: config,
    ...wrong,
  };
  return listen((request, response) => {
    const answer = answers[request.url ?? ""];
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
}

function expectation(host: string, change: Partial<Expectation> = {}): Expectation {
  const repository = `${host}/facecraft`;
  return {
    repository,
    tags: ["cpu"],
    digest: digest(manifest),
    labels,
    models: {},
    healthcheck,
    user: "1000:1000",
    ...change,
  };
}

describe("a published image", () => {
  test("that is what was asked for gives no difference", async () => {
    expect(await comparePublished(expectation(await registry()))).toEqual([]);
  });

  test("with another label, user or health check gives a sentence each", async () => {
    const host = await registry();
    const wanted = {
      labels: { "org.opencontainers.image.title": "other" },
      user: "0:0",
      healthcheck: { ...healthcheck, retries: 5 },
    };
    expect(await comparePublished(expectation(host, wanted))).toEqual([
      `The image's label org.opencontainers.image.title is "facecraft", but "other" was asked for.`,
      `The image's user is "1000:1000", but "0:0" was asked for.`,
      "The image's health check retries is 3, but 5 was asked for.",
    ]);
  });

  test("whose tag was moved by somebody else is told apart by its digest", async () => {
    const other = JSON.stringify({ config: { digest: digest(config) }, note: "somebody else's" });
    const host = await registry({ "/v2/facecraft/manifests/cpu": other });
    expect(await comparePublished(expectation(host))).toEqual([
      `${host}/facecraft:cpu is ${digest(other)}, but ${digest(manifest)} was pushed.`,
    ]);
  });

  test("from a registry that answers a digest with other bytes is refused", async () => {
    const host = await registry({ [`/v2/facecraft/blobs/${digest(config)}`]: config.replace("1000", "0") });
    await expect(comparePublished(expectation(host))).rejects.toThrow(
      /answered blob sha256:\w+ of facecraft with other bytes/,
    );
  });

  test("that is not there is said with the address that was asked", async () => {
    const host = await registry();
    await expect(comparePublished(expectation(host, { tags: ["gone"] }))).rejects.toThrow(
      `http://${host}/v2/facecraft/manifests/gone answered 404 Not Found.`,
    );
  });
});

test("a model that the proof found to be another is told apart by its pin", () => {
  const models = { "/app/models/a": "1".repeat(64), "/app/models/b": "2".repeat(64) };
  expect(compareModels({ models }, { models })).toEqual([]);
  expect(compareModels({ models }, { models: { "/app/models/a": "3".repeat(64) } })).toEqual([
    `/app/models/a in the image was proven to be ${"3".repeat(64)}, but ${"1".repeat(64)} was asked for.`,
    `/app/models/b in the image was proven to be absent, but ${"2".repeat(64)} was asked for.`,
  ]);
});

test("a registry that wants a token gets the credentials at its own token service only", async () => {
  const seen: string[] = [];
  const tokens = await listen((request, response) => {
    seen.push(`${request.headers.authorization} ${new URL(request.url ?? "", "http://x").searchParams.get("scope")}`);
    response.end(JSON.stringify({ token: "t0ken" }));
  });
  const host = await listen((request, response) => {
    if (request.headers.authorization === "Bearer t0ken") {
      response.end(manifest);
      return;
    }
    const challenge = `Bearer realm="http://${tokens}/token",service="r",scope="repository:team/facecraft:pull"`;
    response.writeHead(401, { "www-authenticate": challenge }).end();
  });

  const repository = new Repository(`${host}/team/facecraft`, { username: "u", password: "p" });
  expect((await repository.manifest("cpu")).digest).toBe(digest(manifest));
  expect(seen).toEqual([`Basic ${btoa("u:p")} repository:team/facecraft:pull`]);
});

test.each([
  ["docker.io/djok/facecraft", "docker.io"],
  ["djok/facecraft", "docker.io"],
  ["localhost:5000/facecraft", "localhost:5000"],
  ["ghcr.io/team/facecraft", "ghcr.io"],
])("%s is a repository of %s", (repository, registry) => {
  expect(registryOf(repository)).toBe(registry);
});
