import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { which } from "../../local/exec.ts";
import { type Result, run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

// One release and what becomes of its signature, with the real cosign and a registry that has no referrers API: cosign lists
// what it attaches under a tag of its own. The tests follow each other, because each build takes its time.
const password = "zq-KEY-51";

let clone: Clone;
let keys: string;
let released: Outputs;

beforeAll(async () => {
  clone = await Clone.make();
  keys = join(clone.state, "..", "keys");
  mkdirSync(keys);
  await makeKey("own", password);
});
afterAll(() => clone?.remove());

async function makeKey(name: string, ofPassword: string): Promise<void> {
  rmSync(join(keys, `${name}.key`), { force: true });
  rmSync(join(keys, `${name}.pub`), { force: true });
  const command = ["cosign", "generate-key-pair", "--output-key-prefix", name];
  expect(await run(command, keys, { ...clone.environment, COSIGN_PASSWORD: ofPassword })).toSucceed();
}

async function sign(key: string, secret = password, change: (text: string) => string = (text) => text): Promise<void> {
  clone.writeConfig((text) => change(`${text}  facecraft:signing:\n    key: "${key}"\n`));
  await clone.setSecret("facecraft:signing.password", secret);
}

const ownKey = () => join(keys, "own.key");

/** Somebody's own cosign, who has the public key and nothing else of this project. */
function cosign(command: string, image: string, key = "own", ...args: string[]): Promise<Result> {
  const trust = ["--key", join(keys, `${key}.pub`), "--insecure-ignore-tlog=true"];
  return run(["cosign", command, ...trust, ...args, image], keys, clone.environment);
}

const imageOf = ({ digest }: Pick<Outputs, "digest">) => `${clone.repository}@${digest}`;
const digestIn = (reference: string) => reference.split("@")[1] ?? "";
const isBuilt = /docker-build:index:Image +\S+ +(creat|updat|replac)/;

describe("a release that is to be signed", () => {
  test("is refused at once with a reference to a KMS that cosign could not read", async () => {
    await sign("awskms://nowhere");
    const preview = await clone.pulumi("preview");
    expect(preview.code).not.toBe(0);
    expect(preview.text).toMatch(/facecraft:signing\.key is .*; it must be awskms:\/\/\[ENDPOINT\]\/ID/);
    expect(preview.text).not.toMatch(/docker-build:index:Image/);
  });

  test("is previewed without its key", async () => {
    await sign(join(keys, "missing.key"));
    const preview = await clone.pulumi("preview");
    expect(preview).toSucceed();
    expect(preview.text).toMatch(/11 to create/);
  });

  test.each([
    ["a key that is missing", () => sign(join(keys, "missing.key")), /facecraft:signing\.key .*There is no key at /],
    ["another password", () => sign(ownKey(), "another"), /facecraft:signing\.password .*The password of the key/],
  ])("is not built with %s", async (_what, ask, sentence) => {
    await ask();
    const up = await clone.up();
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(sentence);
    expect(up.text).toContain("Nothing was built.");
    expect(up.text).not.toMatch(/docker-build:index:Image/);
    expect(await clone.tags()).toEqual([]);
  });

  test("is signed before anything names it, and hands over what is attached", async () => {
    await sign(ownKey());
    const up = await clone.up();
    expect(up).toSucceed();
    // The stack itself stands since the updates that failed.
    expect(up.text).toContain("10 created");
    released = await clone.outputs();
    for (const reference of [released.signature, released.sbom, released.provenance]) {
      expect(reference).toMatch(new RegExp(`^${clone.repository}@sha256:[0-9a-f]{64}$`));
      expect((await clone.registry("GET", `manifests/${digestIn(reference)}`)).status).toBe(200);
    }
    const list = released.digest.replace(":", "-");
    expect(await clone.tags()).toEqual([...released.tags.map((tag) => tag.split(":").at(-1)), list].sort());
    expect((await clone.registry("GET", "manifests/cpu")).digest).toBe(released.digest);
  });

  test("is verified by anybody's cosign, and says by its provenance what it is", async () => {
    const verified = await cosign("verify", imageOf(released), "own", "--output=json");
    expect(verified).toSucceed();
    expect(verified.text).toContain('"type":"https://sigstore.dev/cosign/sign/v1"');
    const provenance = await statement("slsaprovenance1");
    expect(provenance.subject).toEqual([expect.objectContaining({ digest: { sha256: released.digest.slice(7) } })]);
    expect(provenance.predicate.buildDefinition.externalParameters).toMatchObject({
      variant: released.variant,
      version: released.version,
      revision: released.revision,
    });
    expect((await statement("cyclonedx")).predicate).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
  });

  test("is not verified by another key", async () => {
    await makeKey("other", "");
    const verified = await cosign("verify", imageOf(released), "other");
    expect(verified.code).not.toBe(0);
    expect(verified.text).toContain("accepted signatures do not match");
  });

  test("has no word of the key's password in its state", async () => {
    const args = ["stack", "export", "--stack", "local"];
    const state = await run(["pulumi", ...args], clone.folder, clone.environment);
    expect(state).toSucceed();
    expect(state.text).toContain("ReleaseSignature");
    expect(state.text).not.toContain(password);
    expect(readFileSync(clone.configFile, "utf8")).not.toContain(password);
  });

  test("is left alone by a second up, and by the policy", async () => {
    const up = await clone.up("--policy-pack", "policy/index.ts");
    expect(up.text).toContain("11 unchanged");
    expect(up.text).not.toMatch(/signed-release|sbom-attached/);
    expect(await clone.outputs()).toEqual(released);
    expect(await clone.drift()).toSucceed();
  });
});

/** What is attested of the release, as somebody's own cosign has verified it. */
async function statement(kind: string) {
  const verified = await cosign("verify-attestation", imageOf(released), "own", `--type=${kind}`);
  expect(verified).toSucceed();
  const envelope = verified.text.split("\n").find((line) => line.startsWith("{")) ?? "{}";
  return JSON.parse(Buffer.from(JSON.parse(envelope).payload, "base64").toString());
}

describe("a signed release", () => {
  test("whose signature was removed is reported by refresh, and signed again without a build", async () => {
    expect((await clone.registry("DELETE", `manifests/${digestIn(released.signature)}`)).status).toBe(202);
    const gone = `The signature ${released.signature} is gone`;
    const drift = await clone.drift();
    expect(drift.code).toBe(2);
    expect(drift.text).toContain(released.signature);
    expect((await clone.pulumi("refresh")).text).toContain(gone);

    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).not.toMatch(isBuilt);
    const after = await clone.outputs();
    expect(after.signature).not.toBe(released.signature);
    expect(after).toEqual({ ...released, signature: after.signature });
    expect((await cosign("verify", imageOf(after), "own", "--output=json")).text).toContain("cosign/sign/v1");
    released = after;
  });

  test("that lost the list of what is attached gets all of it again", async () => {
    const list = released.digest.replace(":", "-");
    const { digest } = await clone.registry("GET", `manifests/${list}`);
    expect((await clone.registry("DELETE", `manifests/${digest}`)).status).toBe(202);
    expect((await cosign("verify", imageOf(released))).code).not.toBe(0);

    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).not.toMatch(isBuilt);
    const after = await clone.outputs();
    expect(after.digest).toBe(released.digest);
    expect(await cosign("verify", imageOf(after))).toSucceed();
    expect((await statement("slsaprovenance1")).predicate.buildDefinition.externalParameters.revision).toBe(
      after.revision,
    );
    released = after;
  });

  test("does not lend its signature to what somebody else pushes under its tag", async () => {
    const tag = released.tags[1]?.split(":").at(-1) as string;
    const other = await clone.moveTag(tag);
    const verified = await cosign("verify", `${clone.repository}:${tag}`);
    expect(verified.code).not.toBe(0);
    expect(verified.text).toContain("no signatures found");

    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).not.toMatch(isBuilt);
    expect(up.text).toContain(`named ${other}`);
    expect(await cosign("verify", `${clone.repository}:${tag}`)).toSucceed();
    expect(await clone.outputs()).toEqual(released);
  });

  test("is signed anew with another key of the same name", async () => {
    await makeKey("own", password);
    expect((await cosign("verify", imageOf(released))).code).not.toBe(0);
    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).not.toMatch(isBuilt);
    released = await clone.outputs();
    expect(await cosign("verify", imageOf(released))).toSucceed();
    expect(await cosign("verify-attestation", imageOf(released), "own", "--type=cyclonedx")).toSucceed();
  });
});

describe("signing that fails after the push", () => {
  const path = () => String(clone.environment.PATH);

  /** A cosign that opens keys, but does not trust the registry when it comes to signing. */
  function distrust(): void {
    const bin = join(clone.state, "..", "bin");
    mkdirSync(bin);
    const real = which("cosign", path());
    const script = `#!/bin/sh\n[ "$1" != sign ] || export SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/nowhere\nexec ${real} "$@"\n`;
    writeFileSync(join(bin, "cosign"), script, { mode: 0o755 });
    clone.environment.PATH = `${bin}:${path()}`;
  }

  test("leaves the outputs and the moving tag with the release before", async () => {
    const before = path();
    distrust();
    await sign(ownKey(), password, (text) => `${text}  facecraft:version: 1.0.1\n`);
    const up = await clone.up();
    clone.environment.PATH = before;

    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(
      /was pushed, but is not released, because it could not be signed: .*without building it again/,
    );
    expect(await clone.outputs()).toEqual(released);
    expect((await clone.registry("GET", "manifests/cpu")).digest).toBe(released.digest);
    const pushed = (await clone.tags()).filter((tag) => tag.startsWith("1.0.1-cpu-"));
    expect(pushed).toHaveLength(1);
    const { digest = "" } = await clone.registry("GET", `manifests/${pushed[0]}`);
    expect((await cosign("verify", imageOf({ digest }))).text).toContain("no signatures found");
    expect((await clone.drift()).text).toContain(`still name ${released.digest}`);
  });

  test("is made good by the next up, which builds nothing", async () => {
    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).not.toMatch(isBuilt);
    const after = await clone.outputs();
    expect(after.version).toBe("1.0.1");
    expect(after.digest).not.toBe(released.digest);
    expect((await clone.registry("GET", "manifests/cpu")).digest).toBe(after.digest);
    expect(await cosign("verify", imageOf(after))).toSucceed();
    expect(await cosign("verify", imageOf(released))).toSucceed();
  });
});
