import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Answer, Standing } from "../../artifacts/answer.ts";
import { predicateTypes } from "../../registry/attached.ts";
import { askAll } from "../../reports/drift/ask.ts";
import { readState } from "../../reports/drift/state.ts";
import { driftTable, exitCodes, verdict } from "../../reports/drift/table.ts";
import { noise, serve, sha256, staticFile, temporaryFolder } from "../artifacts/server.ts";
import { FakeRegistry, speechless } from "../registry/fakeRegistry.ts";

const body = noise(10_000);
let registry: FakeRegistry;
let upstream: Awaited<ReturnType<typeof serve>>;
let digest: string;
beforeEach(async () => {
  vi.stubEnv("FACECRAFT_CACHE", temporaryFolder());
  registry = await FakeRegistry.start();
  digest = registry.push("cpu", "released");
  registry.push("1.0.0-cpu-0badcafe", "released");
  upstream = await serve(staticFile(body, '"v1"'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await registry.stop();
});

const secret = (value: unknown) => ({
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  plaintext: JSON.stringify(value),
});

/** What the engine exports of a stack with a release. */
function exported(more: object = {}, outputs: object = { digest }, others: readonly object[] = []): string {
  const urn = (type: string, name: string) => `urn:pulumi:cpu::facecraft::${type}::${name}`;
  const image = {
    dockerfile: { location: "docker/Dockerfile.cpu" },
    exports: [{ raw: "type=registry" }],
    registries: [{ address: "r", username: "bob", password: secret("hunter2") }],
    tags: ["cpu", "1.0.0-cpu-0badcafe"].map((tag) => `${registry.repository}:${tag}`),
  };
  const model = { title: "CodeFormer", urls: secret([`${upstream.url}/m.pth`]), sha256: sha256(body), etag: '"v1"' };
  const type = "docker-build:index:Image";
  const proof = { ...image, tags: [], exports: [{ cacheonly: {} }] };
  return JSON.stringify({
    version: 3,
    deployment: {
      resources: [
        { urn: urn("pulumi:pulumi:Stack", "facecraft-cpu"), type: "pulumi:pulumi:Stack", outputs },
        { urn: urn(type, "facecraft-proof"), type, inputs: proof, outputs: proof },
        { urn: urn(type, "facecraft-release"), type, inputs: image, outputs: { ...image, digest } },
        {
          urn: urn("pulumi-nodejs:dynamic/facecraft:ModelChecksum", "codeformer"),
          type: "pulumi-nodejs:dynamic/facecraft:ModelChecksum",
          outputs: { ...model, url: `${upstream.url}/m.pth` },
        },
        ...others,
      ],
      ...more,
    },
  });
}

const ask = () => askAll(readState(exported()));
const standings = async () => (await ask()).map(({ standing }) => standing);

describe("drift", () => {
  test("asks for the image, each of its tags and each model, and says what each answered", async () => {
    expect(await ask()).toEqual([
      { asked: `${registry.repository}@${digest}`, standing: "as left", said: "is in the registry" },
      { asked: `${registry.repository}:cpu`, standing: "as left", said: `names ${digest}` },
      { asked: `${registry.repository}:1.0.0-cpu-0badcafe`, standing: "as left", said: `names ${digest}` },
      {
        asked: `CodeFormer (${upstream.url}/m.pth)`,
        standing: "as left",
        said: `${upstream.url}/m.pth serves the pinned file`,
      },
    ]);
  });

  test.each([
    ["names the release before", { digest: `sha256:${"0".repeat(64)}` }, `still name sha256:${"0".repeat(64)}`],
    ["names none yet", {}, "name no image"],
  ])("sees that an update ended before it wrote down the outputs, where that %s", async (_, outputs, said) => {
    const answers = await askAll(readState(exported({}, outputs)));
    expect(answers.filter(({ asked }) => asked === "the stack's outputs")).toEqual([
      {
        asked: "the stack's outputs",
        standing: "changed",
        said: `an update that ended early has published ${registry.repository}@${digest}, but they ${said}; run it again`,
      },
    ]);
  });

  test("sees an immutable tag that was moved", async () => {
    registry.push("1.0.0-cpu-0badcafe", "somebody else's");
    expect(await standings()).toEqual(["as left", "as left", "changed", "as left"]);
  });

  describe("of a signed release", () => {
    const resource = (type: string, outputs: object) => ({
      urn: `urn:pulumi:cpu::facecraft::${type}::x`,
      type,
      outputs,
    });

    /** A release that was pushed without its moving tag, and got that when it was signed. */
    const signed = () => {
      const { repository } = registry;
      const at = (type: string) => `${repository}@${registry.attach(digest, type)}`;
      const { signature, cyclonedx, slsaprovenance1 } = predicateTypes;
      const attached = { signature: at(signature), sbom: at(cyclonedx), provenance: at(slsaprovenance1) };
      const tags = { repository, digest, moving: "edge", immutable: "1.0.0-cpu-0badcafe" };
      const state = exported({}, { digest }, [
        resource("pulumi-nodejs:dynamic/facecraft:ReleaseSignature", { repository, digest, ...attached }),
        resource("pulumi-nodejs:dynamic/facecraft:PublishedTags", tags),
      ]);
      return { attached, ask: () => askAll(readState(state)) };
    };

    test("asks for what is attached, and for the moving tag", async () => {
      registry.push("edge", "released");
      const { attached, ask } = signed();
      const answers = await ask();
      expect(new Set(answers.map(({ standing }) => standing))).toEqual(new Set(["as left"]));
      expect(answers.map(({ asked }) => asked)).toEqual(
        expect.arrayContaining([
          `${registry.repository}:edge`,
          `the signature ${attached.signature}`,
          `the SBOM ${attached.sbom}`,
          `the provenance ${attached.provenance}`,
        ]),
      );
    });

    test("sees what is gone, and does not know of it when the registry does not say", async () => {
      const { attached, ask } = signed();
      const about = async (reference: string) => (await ask()).find(({ asked }) => asked.endsWith(reference));
      registry.manifests.delete(attached.sbom.split("@")[1] ?? "");
      expect(await about(attached.sbom)).toMatchObject({ standing: "changed", said: "is gone from the registry" });
      expect(await about(attached.signature)).toMatchObject({ standing: "as left" });
      registry.instead = (_request, response) => response.writeHead(403).end();
      expect(await about(attached.sbom)).toMatchObject({ standing: "not known" });
    });
  });

  test.each([
    ["removed", (_: unknown, response: import("node:http").ServerResponse) => void response.writeHead(404).end()],
    ["replaced", staticFile(noise(9_000), '"v2"')],
  ])("sees a model that upstream %s", async (how, handler) => {
    upstream.answer(handler);
    const answer = (await ask()).at(-1);
    expect(answer).toMatchObject({ standing: "changed", said: expect.stringMatching(`^upstream ${how} `) });
  });

  test.each([401, 403, 429, 500, 503])("does not know of a model whose upstream answers %i", async (status) => {
    upstream.answer((_request, response) => response.writeHead(status).end());
    expect((await ask()).at(-1)).toMatchObject({
      standing: "not known",
      said: expect.stringContaining(String(status)),
    });
  });

  test.each(speechless)("does not know of an image whose registry answers %s", async (_what, instead) => {
    registry.instead = instead;
    expect(await standings()).toEqual(["not known", "not known", "not known", "as left"]);
  });

  test("does not know of anything when nobody can be reached", async () => {
    const state = readState(exported());
    await Promise.all([registry.stop(), upstream.close()]);
    expect(new Set((await askAll(state)).map(({ standing }) => standing))).toEqual(new Set(["not known"]));
  });

  test("does not know what became of a resource in the middle of which an update ended", async () => {
    const pending_operations = [
      { resource: { urn: "urn:pulumi:cpu::facecraft::a::facecraft-release" }, type: "updating" },
    ];
    expect((await askAll(readState(exported({ pending_operations })))).at(-1)).toMatchObject({
      asked: "facecraft-release",
      standing: "not known",
    });
  });

  test("logs in with the stack's own credentials, and tells them to nobody", async () => {
    let seen: string | undefined;
    registry.instead = (request, response) => {
      seen = request.headers.authorization;
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    };
    const lines = driftTable(await ask(), "cpu").join("\n");
    expect(seen).toBe(`Basic ${btoa("bob:hunter2")}`);
    expect(lines).not.toContain("hunter2");
  });
});

describe("the verdict", () => {
  const answers = (...of: Standing[]): Answer[] => of.map((standing) => ({ asked: "it", standing, said: "so" }));

  test.each<[string, Standing[], number]>([
    ["all as left", ["as left", "as left"], 0],
    ["one changed", ["as left", "changed", "not known"], 2],
    ["one not known", ["as left", "not known"], 3],
    ["nothing asked", [], 3],
  ])("of %s", (_what, of, code) => {
    expect(exitCodes[verdict(answers(...of))]).toBe(code);
  });

  test("comes with every answer, and with what to do", () => {
    expect(driftTable([{ asked: "r:cpu", standing: "changed", said: "names\u001b[31m b" }], "cpu")).toEqual([
      "changed    r:cpu",
      "           names [31m b",
      "0 as left, 1 changed, 0 not known",
      expect.stringContaining("`make up STACK=cpu` puts images and tags right"),
    ]);
    expect(driftTable([], "cpu")).toEqual([expect.stringContaining("has made nothing yet")]);
  });
});

test("the command ends with the verdict's exit code", async () => {
  const run = async () => {
    const child = spawn(process.execPath, ["scripts/drift.ts", "cpu"], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(exported());
    const [said, code] = await Promise.all([text(child.stdout), new Promise((resolve) => child.on("close", resolve))]);
    return { said, code };
  };
  expect(await run()).toEqual({ said: expect.stringContaining("4 as left, 0 changed, 0 not known"), code: 0 });
  registry.push("cpu", "somebody else's");
  expect(await run()).toMatchObject({ code: 2 });
  registry.instead = (_request, response) => response.writeHead(500).end();
  expect(await run()).toMatchObject({ code: 3 });
});
