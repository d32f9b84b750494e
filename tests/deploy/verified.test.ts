import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import * as compose from "../../deploy/compose/settings.ts";
import * as kubernetes from "../../deploy/kubernetes/settings.ts";
import { claimsOf, known } from "../../deploy/verified.ts";
import { facts, hex } from "../attest/made.ts";
import { outputs } from "./outputs.ts";

const folder = mkdtempSync(join(tmpdir(), "facecraft-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const publicKey = file("cosign.pub", "-----BEGIN PUBLIC KEY-----\n");
const privateKey = file("cosign.key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n");
const keyless = {
  identity: "https://github.com/djok/facecraft-images/.github/workflows/release.yml@refs/heads/main",
  issuer: "https://token.actions.githubusercontent.com",
};

const from = "organization/facecraft/cpu";

describe.each([
  ["facecraft-deploy", compose.parseSettings],
  ["facecraft-kubernetes", kubernetes.parseSettings],
] as const)("%s:verify", (namespace, parse) => {
  const verify = (value: unknown) =>
    parse({ values: { from, verify: JSON.stringify(value) }, isSecret: () => false }).verify;

  test.each([{ key: publicKey }, { key: "env://COSIGN_PUBLIC_KEY" }, { key: "awskms:///alias/facecraft" }, keyless])(
    "takes %j",
    (value) => {
      expect(verify(value)).toEqual(value);
    },
  );

  test("is left out, or empty, where nothing is verified", () => {
    expect(verify({})).toBeUndefined();
    expect(parse({ values: { from }, isSecret: () => false })).not.toHaveProperty("verify");
  });

  test.each([
    [
      { key: join(folder, "none.pub") },
      /verify\.key is ".*none\.pub"; it must be the path of a public key such as cosign\.pub/,
    ],
    [{ key: privateKey }, /verify\.key is ".*cosign\.key"; it must be the path of a public key/],
    [{ key: publicKey, ...keyless }, /verify is {.*}; it must be {key}, or {identity, issuer}/],
    [{ identity: "somebody" }, /verify is {"identity":"somebody"}; it must be {key}, or {identity, issuer}/],
    [{ identity: " ", issuer: "x" }, /verify\.identity is " "; it must be who signed/],
    [{ keys: publicKey }, /verify\.keys is not a config key; known are key, identity, issuer/],
    ["cosign.pub", /verify is "cosign\.pub"; it must be an object {key, identity, issuer}/],
  ])("refuses %j", (value, sentence) => {
    expect(() => verify(value)).toThrow(sentence);
    expect(() => verify(value)).toThrow(namespace);
  });
});

describe("a release that is verified", () => {
  test("is claimed to be what the outputs say, in the words of the image", () => {
    const release = outputs();
    expect(claimsOf(release)).toEqual({
      variant: "cpu",
      version: "1.2.0",
      revision: "1".repeat(40),
      models: { "/x.onnx": "b".repeat(64) },
      proof: {
        ...{ torch: "2.0.1+cpu", cuda: null, onnxruntime: "1.32.0", boot: "passed", portrait: "passed" },
        ...{ modelsOpened: ["/x.onnx"], network: "silent", gpu: null },
      },
    });
    expect(claimsOf(outputs({ proof: {} })).proof).toEqual({});
  });

  test("and is only named gets its commit, labels, models and proof from the image", () => {
    const release = known(outputs({ revision: "unknown", labels: {}, models: {}, proof: {} }), facts);
    expect(release).toMatchObject({
      revision: "c".repeat(40),
      labels: facts.labels,
      models: { codeformer: { sha256: hex("e"), sizeBytes: 376_637_898 } },
      proof: { torch: "2.0.1+cpu", portrait: "passed", network: null, readySeconds: 3.2 },
    });
  });
});
