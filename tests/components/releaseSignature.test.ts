import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { diff, type Inputs, read, type State } from "../../components/signatureProvider.ts";
import { predicateTypes } from "../../registry/attached.ts";
import { FakeRegistry, speechless } from "../registry/fakeRegistry.ts";
import { stored } from "./stored.ts";

const madeFrom = {
  variant: "cpu",
  version: "1.0.0",
  revision: "1".repeat(40),
  source: ".",
  dockerfile: { path: "docker/Dockerfile.cpu", sha256: "a".repeat(64) },
  scriptsSha256: "b".repeat(64),
  buildArgs: {},
  bases: [],
  models: [],
  platforms: ["linux/amd64"],
  builder: "",
  program: { version: "1.0.0", commit: "2".repeat(40) },
};

let registry: FakeRegistry;
let inputs: Inputs;
let state: State;
let warnings: string[];
beforeEach(async () => {
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((text: string) => void warnings.push(text));
  registry = await FakeRegistry.start();
  const { repository } = registry;
  const digest = registry.push("1.0.0-cpu-0badcafe", "released");
  const digests = Object.values(predicateTypes).map((type) => registry.attach(digest, type));
  const [signature = "", sbom = "", provenance = ""] = digests.map((one) => `${repository}@${one}`);
  inputs = { repository, digest, key: "cosign.key", madeFrom };
  state = { ...inputs, signature, sbom, provenance, drift: "" };
});
afterEach(async () => {
  vi.restoreAllMocks();
  await registry.stop();
});

describe("what is attached to a release", () => {
  test("is as it was left while all of it is there", async () => {
    expect(await read("id", state)).toEqual({ id: "id", props: state });
    expect(warnings).toEqual([]);
    expect(await diff("id", state, inputs)).toEqual({ changes: false });
  });

  test.each(["signature", "sbom", "provenance"] as const)(
    "is missed by a refresh when the %s is gone",
    async (part) => {
      registry.manifests.delete(state[part].split("@")[1] ?? "");
      const { props } = await read("id", state);
      expect(props.drift).toContain(`${state[part]} is gone`);
      expect(warnings).toEqual([`${props.drift}.`]);
      expect(await diff("id", props, inputs)).toEqual({ changes: true });
      expect({ ...props, drift: "" }).toEqual(state);
    },
  );

  test.each(speechless)("is left as it was known when the registry answers %s", async (_what, instead) => {
    registry.instead = instead;
    for (const before of [state, { ...state, drift: "gone" }]) {
      expect(await read("id", before)).toEqual({ id: "id", props: before });
    }
    expect(warnings[0]).toMatch(/^It is not known whether .* is still signed: /);
  });

  test.each<[string, Partial<Inputs>]>([
    ["another image", { digest: `sha256:${"c".repeat(64)}` }],
    ["another repository", { repository: "docker.io/djok/other" }],
    ["another key", { key: "env://COSIGN_KEY" }],
    ["OIDC", { key: "" }],
    ["other credentials", { username: "u", password: "p" }],
  ])("is made anew for %s", async (_what, change) => {
    expect(await diff("id", state, { ...inputs, ...change })).toEqual({ changes: true });
  });

  test("stays as it is when only the program, or the key's password, is another", async () => {
    const program = { version: "1.0.1", commit: "3".repeat(40) };
    const news = { ...inputs, keyPassword: "another", madeFrom: { ...madeFrom, program } };
    expect(await diff("id", state, news)).toEqual({ changes: false });
  });

  test("is made anew for another key of the same name, as far as that was opened", async () => {
    const opened = { ...state, publicKey: "one" };
    expect(await diff("id", opened, { ...inputs, publicKey: "another" })).toEqual({ changes: true });
    expect(await diff("id", opened, { ...inputs, publicKey: "one" })).toEqual({ changes: false });
    // A preview opens no key.
    expect(await diff("id", opened, inputs)).toEqual({ changes: false });
    expect(await diff("id", state, { ...inputs, publicKey: "one" })).toEqual({ changes: false });
  });
});

test("what is stored in the state as their provider is small, and only names the module that does the work", () => {
  const args = { repository: "r", digest: "d", key: "cosign.key", keyPassword: "p", madeFrom };
  const { type, provider } = stored("./components/releaseSignature.ts", "ReleaseSignature", "signature", args);
  expect(type).toBe("pulumi-nodejs:dynamic/facecraft:ReleaseSignature");
  expect(provider.length).toBeLessThan(2048);
  expect(provider).toContain("/components/signatureProvider.ts");
  expect(provider).not.toMatch(/cosign|drift|registry/);
});
