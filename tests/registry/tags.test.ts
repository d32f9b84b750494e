import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Repository } from "../../registry/repository.ts";
import { askPublished, settleTags } from "../../registry/tags.ts";
import { FakeRegistry, speechless } from "./fakeRegistry.ts";

let registry: FakeRegistry;
let digest: string;
let published: { repository: string; tags: string[]; digest: string };
beforeEach(async () => {
  registry = await FakeRegistry.start();
  digest = registry.push("cpu", "released");
  registry.push("1.0.0-cpu-0badcafe", "released");
  published = { repository: registry.repository, tags: ["cpu", "1.0.0-cpu-0badcafe"], digest };
});
afterEach(() => registry.stop());

const standings = async () => (await askPublished(published)).map(({ standing }) => standing);

describe("a registry that is asked about a release", () => {
  test("answers for the image and for each tag", async () => {
    expect(await askPublished(published)).toEqual([
      { asked: `${registry.repository}@${digest}`, standing: "as left", said: "is in the registry" },
      { asked: `${registry.repository}:cpu`, standing: "as left", said: `names ${digest}` },
      { asked: `${registry.repository}:1.0.0-cpu-0badcafe`, standing: "as left", said: `names ${digest}` },
    ]);
  });

  test.each(["cpu", "1.0.0-cpu-0badcafe"])("tells that the tag %s was moved, and where to", async (tag) => {
    const other = registry.push(tag, "somebody else's");
    const answer = (await askPublished(published)).find(({ asked }) => asked.endsWith(tag));
    expect(answer).toMatchObject({ standing: "changed", said: `names ${other}, but the release is ${digest}` });
  });

  test("tells what is gone", async () => {
    registry.manifests.delete("cpu");
    expect(await standings()).toEqual(["as left", "changed", "as left"]);
    registry.manifests.clear();
    expect((await askPublished(published)).map(({ said }) => said)).toEqual(Array(3).fill("is gone from the registry"));
  });

  test.each(speechless)("that answers %s leaves everything not known", async (_what, instead) => {
    registry.instead = instead;
    expect(await standings()).toEqual(["not known", "not known", "not known"]);
  });

  test("that is down leaves everything not known", async () => {
    await registry.stop();
    expect(await standings()).toEqual(["not known", "not known", "not known"]);
  });
});

describe("settling tags", () => {
  test("that are right writes nothing", async () => {
    expect(await settleTags(published)).toEqual([]);
    expect(registry.requests.filter((request) => request.startsWith("PUT"))).toEqual([]);
  });

  test("lets each name the release again, and says what it named", async () => {
    const other = registry.push("cpu", "somebody else's");
    registry.manifests.delete("1.0.0-cpu-0badcafe");
    expect(await settleTags(published)).toEqual([
      expect.stringContaining(`:cpu named ${other}; it names ${digest} again.`),
      expect.stringContaining(`:1.0.0-cpu-0badcafe was gone; it names ${digest} again`),
    ]);
    expect(await standings()).toEqual(["as left", "as left", "as left"]);
    expect(registry.manifests.has(other)).toBe(true);
  });

  test("of an image that is gone fails, and moves nothing", async () => {
    const other = registry.push("cpu", "somebody else's");
    registry.manifests.delete(digest);
    await expect(settleTags(published)).rejects.toThrow(/manifests\/sha256:\w+ answered 404 .*manifest unknown/);
    expect(registry.names("cpu")).toBe(other);
  });

  test.each(speechless)("where the registry answers %s fails: what they name is not known", async (_what, instead) => {
    registry.instead = instead;
    await expect(settleTags(published)).rejects.toThrow("It is not known what");
  });

  test("fails where the registry refuses to write, with its words and what to do", async () => {
    registry.push("cpu", "somebody else's");
    const { manifests } = registry;
    registry.instead = (request, response) =>
      request.method === "PUT"
        ? response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"tag is immutable"}]}')
        : response.end(manifests.get(request.url?.split("/").at(-1) ?? ""));
    await expect(settleTags(published)).rejects.toThrow(
      /answered 403 Forbidden \(DENIED: tag is immutable\); log in with `docker login localhost:\d+`\.$/,
    );
  });

  test("fails where the registry takes the tag and does not keep it", async () => {
    registry.push("cpu", "somebody else's");
    const { manifests } = registry;
    registry.instead = (request, response) =>
      request.method === "PUT"
        ? response.writeHead(201).end()
        : response.end(manifests.get(request.url?.split("/").at(-1) ?? ""));
    await expect(settleTags(published)).rejects.toThrow("but does not answer it there");
  });
});

describe("asking whether a push would be let in", () => {
  test("gives up the upload that it began", async () => {
    registry.instead = (request, response) =>
      request.method === "POST"
        ? response.writeHead(202, { location: "/v2/a/facecraft/blobs/uploads/1?state=x" }).end()
        : response.writeHead(204).end();
    await new Repository(registry.repository).checkPush();
    expect(registry.requests.slice(-2)).toEqual([
      "POST /v2/a/facecraft/blobs/uploads/",
      "DELETE /v2/a/facecraft/blobs/uploads/1?state=x",
    ]);
  });

  test("sends nothing to where a registry's answer points elsewhere", async () => {
    registry.instead = (request, response) =>
      request.method === "POST"
        ? response.writeHead(202, { location: "http://127.0.0.1:1/upload" }).end()
        : response.writeHead(204).end();
    await new Repository(registry.repository).checkPush();
    expect(registry.requests.filter((request) => request.startsWith("DELETE"))).toEqual([]);
  });

  test.each([
    [401, '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', /401 .*authentication required/],
    [403, "<html>no\u001b[31m</html>", /403 Forbidden; log in with `docker login localhost:\d+`\.$/],
    [507, "", /507 Insufficient Storage\.$/],
  ])("tells the registry's %i in its own words", async (status, body, sentence) => {
    registry.instead = (_request, response) => response.writeHead(status).end(body);
    await expect(new Repository(registry.repository).checkPush()).rejects.toThrow(sentence);
  });
});
