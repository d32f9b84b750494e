import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unlock } from "../../local/unlock.ts";
import { run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";
import { killableUpdate } from "./lies/world.ts";

let clone: Clone;
let released: Outputs;
let immutable: string;

beforeAll(async () => {
  clone = await Clone.make();
  expect(await clone.up()).toSucceed();
  released = await clone.outputs();
  immutable = released.tags[1]?.split(":").at(-1) ?? "";
});
afterAll(() => clone?.remove());

/** Of the release, as an update writes it down while it goes on; `known` where the file is just being written. */
function digestInState(known: string): string {
  try {
    const state = readFileSync(join(clone.state, ".pulumi/stacks/facecraft/local.json"), "utf8");
    const { resources } = JSON.parse(state).checkpoint.latest;
    return resources.find(({ urn }: { urn: string }) => urn.endsWith("::facecraft-release")).outputs.digest;
  } catch {
    return known;
  }
}

const digestOf = async (tag: string) => (await clone.registry("GET", `manifests/${tag}`)).digest;

describe("drift", () => {
  test("of what was just released is none, and says what it asked", async () => {
    const { code, text } = await clone.drift();
    expect(text).toContain(`as left    ${clone.repository}@${released.digest}\n`);
    expect(text).toContain(`as left    ${clone.repository}:cpu\n           names ${released.digest}`);
    expect(text).toContain("6 as left, 0 changed, 0 not known");
    expect(await clone.asLeft()).toBe(true);
    expect({ code, text }).toSucceed();
  });

  test("of tags that were moved by hand is seen by drift, preview and refresh, and put right by an update", async () => {
    const other = await clone.moveTag("cpu");
    const foreign = await clone.moveTag(immutable, "somebody else's, too");

    expect(await clone.asLeft()).toBe(false);
    const seen = await clone.drift();
    expect(seen.code).toBe(2);
    expect(seen.text).toContain(`changed    ${clone.repository}:cpu\n           names ${other}`);
    expect(seen.text).toContain(`changed    ${clone.repository}:${immutable}\n           names ${foreign}`);

    const preview = await clone.pulumi("preview", "--refresh");
    expect(preview.text).toContain(`:cpu names ${other}, but the release is ${released.digest}`);
    expect(preview.text).toMatch(/PublishedTags +facecraft-tags +update/);
    expect((await clone.pulumi("refresh")).text).toMatch(/PublishedTags facecraft-tags updated/);

    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).toContain(`:${immutable} named ${foreign}; it names ${released.digest} again.`);
    expect(up.text).not.toMatch(/docker-build:index:Image +facecraft-release +updat/);
    expect([await digestOf("cpu"), await digestOf(immutable)]).toEqual([released.digest, released.digest]);
    expect(await digestOf(foreign)).toBe(foreign);
    expect(await clone.drift()).toSucceed();
    expect(await clone.outputs()).toEqual(released);
  });

  test("of a tag that is gone is put right, too", async () => {
    expect((await clone.registry("DELETE", "manifests/cpu")).status).toBe(202);
    expect(await clone.asLeft()).toBe(false);
    expect((await clone.drift()).text).toContain(
      `changed    ${clone.repository}:cpu\n           is gone from the registry`,
    );
    expect(await clone.up()).toSucceed();
    expect(await digestOf("cpu")).toBe(released.digest);
  });

  test("of an image that is gone, under whose tag somebody put another, is told when the update writes over that", async () => {
    const foreign = await clone.moveTag(immutable);
    await clone.registry("DELETE", `manifests/${released.digest}`);
    expect((await clone.drift()).code).toBe(2);
    expect(await clone.asLeft()).toBe(false);

    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).toContain(`:${immutable} names ${foreign}, but the release is ${released.digest}`);
    expect(up.text).toMatch(/docker-build:index:Image +facecraft-release +created/);
    expect(await digestOf(immutable)).toBe((await clone.outputs()).digest);
    expect(await clone.drift()).toSucceed();
  });

  test("of a model that upstream removed is what stops an update, until it is back", async () => {
    const file = join(clone.artifacts, "codeformer.pth");
    const bytes = readFileSync(file);
    rmSync(file);
    expect(await clone.asLeft()).toBe(false);
    const seen = await clone.drift();
    expect(seen.code).toBe(2);
    expect(seen.text).toMatch(/changed {4}CodeFormer \(.*\)\n +upstream removed http/);

    const up = await clone.up();
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/CodeFormer: http.*404.*; a verified copy, for a mirror of your own, is /);
    expect((await clone.drift()).code).toBe(2);

    writeFileSync(file, bytes);
    expect(await clone.drift()).toSucceed();
    // The server calls it another version, which a refresh writes down.
    expect(await clone.asLeft()).toBe(false);
    expect(await clone.up()).toSucceed();
    expect(await clone.asLeft()).toBe(true);
  });

  test("of a model whose upstream does not answer is not known, and an update goes on", async () => {
    await clone.serveModels(false);
    expect(await clone.asLeft()).toBe(false);
    const seen = await clone.drift();
    expect(seen.code).toBe(3);
    expect(seen.text).toContain("3 as left, 0 changed, 3 not known");
    expect(await clone.up()).toSucceed();
    await clone.serveModels(true);
    expect(await clone.drift()).toSucceed();
  });

  test("of outputs is told after an update that was killed when it had published, and is put right", async () => {
    const before = await clone.outputs();
    clone.edit("app/src/facecraft/__init__.py", (text) => `${text}# another line\n`);
    await clone.commit("another line");
    const update = killableUpdate({ clone });
    while (digestInState(before.digest) === before.digest) {
      await sleep(2);
    }
    update.kill();
    await update.ended;

    expect(await clone.asLeft()).toBe(false);
    const seen = await clone.drift();
    expect(seen.code).toBe(2);
    expect(seen.text).toContain(
      `changed    the stack's outputs\n           an update that ended early has published ${clone.repository}@${digestInState("")}, but they still name ${before.digest}`,
    );
    await unlock({ state: clone.state, project: "facecraft", stack: clone.stack }, false);
    expect(await clone.up()).toSucceed();
    expect(await clone.drift()).toSucceed();
    expect((await clone.outputs()).digest).not.toBe(before.digest);
  });

  test("of an image whose registry refuses, fails or is away is not known", async () => {
    const refusing = await registryThat((_request, response) => response.writeHead(403).end());
    const state = (await clone.exported()).replaceAll(`localhost:${clone.ports.registry}`, refusing.host);
    const refused = await clone.driftOf(state);
    refusing.stop();
    const away = await clone.driftOf(state);
    for (const { code, text } of [refused, away]) {
      expect(code).toBe(3);
      expect(text).toContain("3 as left, 0 changed, 3 not known");
    }
    expect(refused.text).toContain("403 Forbidden");
    expect(away.text).toContain("cannot be reached");
  });
});

describe("a push", () => {
  test.each([401, 403, 500])("that is refused with %i is told with the registry's status and words", async (status) => {
    const body = JSON.stringify({ errors: [{ code: "UNKNOWN", message: "the words of the registry" }] });
    const registry = await registryThat((request, response) => {
      const asked = request.method === "GET" || request.method === "HEAD";
      response.writeHead(request.url === "/v2/" ? 200 : asked ? 404 : status).end(body);
    });
    clone.writeConfig((config) => config.replace(/repository: .*/, `repository: ${registry.host}/a/facecraft`));
    const up = await clone.pulumi("up");
    registry.stop();
    clone.writeConfig();

    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(
      new RegExp(
        `The push to ${registry.host}/a/facecraft was refused\\..* answered ${status} .*the words of the registry`,
      ),
    );
    expect(/log in with `docker login/.test(up.text)).toBe(status !== 500);
  });
});

test("credentials for the registry are in no state in plain text", async () => {
  const auth = { address: `localhost:${clone.ports.registry}`, username: "bob", password: "hunter2-hunter2" };
  for (const [key, value] of Object.entries(auth)) {
    const path = ["--path", `facecraft:registryAuth.${key}`, value, "--stack", clone.stack];
    const secret = key === "password" ? ["--secret"] : [];
    const args = ["config", "set", ...secret, ...path, "--config-file", clone.configFile];
    expect(await run(["pulumi", ...args], clone.folder, clone.environment)).toSucceed();
  }
  expect(await clone.up()).toSucceed();
  const state = JSON.stringify(await clone.resources());
  expect(state).toContain('"username":"bob"');
  expect(state).not.toContain("hunter2-hunter2");
  expect(await clone.drift()).toSucceed();
});

async function registryThat(answer: RequestListener): Promise<{ host: string; stop(): void }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { host: `localhost:${(server.address() as AddressInfo).port}`, stop };
}
