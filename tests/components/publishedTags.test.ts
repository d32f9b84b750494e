import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { create, diff, type Inputs, read, type State, update } from "../../components/tagProvider.ts";
import { FakeRegistry, speechless } from "../registry/fakeRegistry.ts";
import { stored } from "./stored.ts";

let registry: FakeRegistry;
let inputs: Inputs;
let state: State;
let warnings: string[];
beforeEach(async () => {
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((text: string) => void warnings.push(text));
  registry = await FakeRegistry.start();
  const digest = registry.push("cpu", "released");
  registry.push("1.0.0-cpu-0badcafe", "released");
  inputs = { repository: registry.repository, moving: "cpu", immutable: "1.0.0-cpu-0badcafe", digest };
  state = { ...inputs, drift: "" };
});
afterEach(async () => {
  vi.restoreAllMocks();
  await registry.stop();
});

describe("the tags of a release", () => {
  test("are settled by an update, and need none as long as they are right", async () => {
    expect((await create(inputs)).outs).toEqual(state);
    expect(await diff("", state, inputs)).toEqual({ changes: false });
    expect(await read("id", state)).toEqual({ id: "id", props: state });
    expect(warnings).toEqual([]);
  });

  test("that somebody moved are seen by a refresh, and put right by the next update, which says so", async () => {
    const other = registry.push("1.0.0-cpu-0badcafe", "somebody else's");
    const { props } = await read("id", state);
    expect(props.drift).toMatch(new RegExp(`:1.0.0-cpu-0badcafe names ${other}, but the release is`));
    expect(await diff("", props, inputs)).toEqual({ changes: true });
    warnings.length = 0;
    expect((await update("id", props, inputs)).outs).toEqual(state);
    expect(warnings).toEqual([expect.stringContaining(`named ${other}; it names ${inputs.digest} again`)]);
    expect(registry.names("1.0.0-cpu-0badcafe")).toBe(inputs.digest);
  });

  test("that a push has put right already are told about all the same", async () => {
    const drift = "r:1.0.0-cpu-0badcafe names sha256:b, but the release is sha256:a";
    await update("id", { ...state, drift }, inputs);
    expect(warnings).toEqual([`Put right by this update: ${drift}.`]);
  });

  test("of an image that had to be built anew under its immutable tag say that they name other bytes", async () => {
    const old = `sha256:${"a".repeat(64)}`;
    await update("id", { ...state, digest: old }, inputs);
    expect(warnings).toEqual([
      `${inputs.repository}:${inputs.immutable} was ${old}, and is ${inputs.digest} from now on.`,
    ]);
    warnings.length = 0;
    await update("id", { ...state, digest: old, immutable: "0.9.0-cpu-00000000" }, inputs);
    expect(warnings).toEqual([]);
  });

  test.each(speechless)("are left as they were known when the registry answers %s", async (_what, instead) => {
    registry.instead = instead;
    for (const before of [state, { ...state, drift: "moved" }]) {
      expect(await read("id", before)).toEqual({ id: "id", props: before });
    }
    expect(warnings[0]).toMatch(/^It is not known whether .*:cpu names the release: /);
  });

  test("of which one is moved and one not known are drifted", async () => {
    registry.push("cpu", "somebody else's");
    const { manifests } = registry;
    registry.instead = (request, response) =>
      request.url?.endsWith("cafe")
        ? response.writeHead(500).end()
        : response.end(manifests.get(request.url?.split("/").at(-1) ?? ""));
    expect((await read("id", state)).props.drift).toMatch(/:cpu names/);
  });

  test("are looked at again with other credentials", async () => {
    expect(await diff("", state, { ...inputs, username: "u", password: "p" })).toEqual({ changes: true });
  });
});

test("what is stored in the state as their provider is small, and only names the module that does the work", () => {
  const args = { repository: "r", moving: "cpu", immutable: "i", digest: "d" };
  const { type, provider } = stored("./components/publishedTags.ts", "PublishedTags", "tags", args);
  expect(type).toBe("pulumi-nodejs:dynamic/facecraft:PublishedTags");
  expect(provider.length).toBeLessThan(2048);
  expect(provider).toContain("/components/tagProvider.ts");
  expect(provider).not.toMatch(/digest|drift|registry/);
});
