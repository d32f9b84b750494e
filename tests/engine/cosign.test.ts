import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  attest,
  CosignError,
  type CosignReason,
  publicKey,
  sign,
  verifyAttestation,
  verifySignature,
} from "../../attest/cosign.ts";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { toolPath } from "../../local/tools.ts";
import { predicateTypes } from "../../registry/attached.ts";

// The real cosign against the local registry, with images of a few bytes. What cosign trusts and where it is comes from the
// environment, as it does in an update.
const before = { ...process.env };
const keys = mkdtempSync(join(tmpdir(), "facecraft-keys-"));
const repository = `localhost:${knownPorts()?.registry}/test-${randomBytes(4).toString("hex")}/facecraft`;
const key = (name: string) => join(keys, name);
const own = { key: key("own.key"), password: "right" };
const trust = { key: key("own.pub") };
const manifestType = "application/vnd.oci.image.manifest.v1+json";
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";

beforeAll(async () => {
  Object.assign(process.env, { PATH: toolPath(), SSL_CERT_FILE: paths.caBundle, DOCKER_CONFIG: keys });
  for (const [name, COSIGN_PASSWORD] of [
    ["own", "right"],
    ["other", ""],
  ] as const) {
    const env = { ...process.env, COSIGN_PASSWORD };
    await output("cosign", ["generate-key-pair", "--output-key-prefix", name], { cwd: keys, env });
  }
  writeFileSync(key("sbom.json"), '{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"torch"}]}');
  writeFileSync(key("text.key"), "hello\n");
});
afterAll(() => {
  rmSync(keys, { recursive: true });
  process.env = before;
});

function ask(method: string, path: string, body?: Buffer, type = manifestType): Promise<[number, Buffer, string]> {
  const url = new URL(path, `https://${repository.replace("/", "/v2/")}/`);
  const accept = `${manifestType}, application/vnd.oci.image.index.v1+json`;
  const options = { method, ca: readFileSync(join(paths.tls, "ca.pem")), headers: { accept, "content-type": type } };
  return new Promise((resolve, reject) => {
    request(url, options, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        resolve([response.statusCode ?? 0, Buffer.concat(parts), response.headers.location ?? ""]),
      );
    })
      .on("error", reject)
      .end(body);
  });
}

const digestOf = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

async function putBlob(bytes: Buffer): Promise<{ digest: string; size: number }> {
  const [, , location] = await ask("POST", "blobs/uploads/");
  const url = new URL(location);
  url.searchParams.set("digest", digestOf(bytes));
  expect((await ask("PUT", url.href, bytes, "application/octet-stream"))[0]).toBe(201);
  return { digest: digestOf(bytes), size: bytes.length };
}

async function putManifest(manifest: object, type = manifestType, tag?: string) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, ...manifest }));
  expect((await ask("PUT", `manifests/${tag ?? digestOf(bytes)}`, bytes, type))[0]).toBe(201);
  return { mediaType: type, digest: digestOf(bytes), size: bytes.length };
}

/** Pushes an image that is no other. @returns its name by its digest */
async function push(): Promise<string> {
  const config = await putBlob(Buffer.from(JSON.stringify({ os: "linux", is: randomBytes(8).toString("hex") })));
  const type = "application/vnd.oci.image.config.v1+json";
  return `${repository}@${(await putManifest({ config: { mediaType: type, ...config }, layers: [] })).digest}`;
}

const hashOf = (image: string) => image.split("@")[1] ?? "";
const listTag = (image: string) => hashOf(image).replace(":", "-");

/** The first bundle that is attached to an image. */
async function bundleOf(image: string): Promise<Buffer> {
  const list = JSON.parse((await ask("GET", `manifests/${listTag(image)}`))[1].toString());
  const manifest = JSON.parse((await ask("GET", `manifests/${list.manifests[0].digest}`))[1].toString());
  return (await ask("GET", `blobs/${manifest.layers[0].digest}`))[1];
}

/** Attaches a bundle to an image, as whoever may push can. */
async function attachBundle(image: string, bundle: Buffer): Promise<void> {
  const [, subject] = await ask("GET", `manifests/${hashOf(image)}`);
  const attached = await putManifest({
    artifactType: bundleType,
    config: { mediaType: "application/vnd.oci.empty.v1+json", ...(await putBlob(Buffer.from("{}"))) },
    layers: [{ mediaType: bundleType, ...(await putBlob(bundle)) }],
    subject: { mediaType: manifestType, digest: hashOf(image), size: subject.length },
    annotations: { "dev.sigstore.bundle.predicateType": predicateTypes.cyclonedx },
  });
  const manifests = [{ ...attached, artifactType: bundleType }];
  await putManifest({ manifests }, "application/vnd.oci.image.index.v1+json", listTag(image));
}

async function refused(work: Promise<unknown>, reason: CosignReason): Promise<string> {
  const error = await work.then(
    () => expect.unreachable("cosign did it"),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(CosignError);
  expect((error as CosignError).reason).toBe(reason);
  return (error as CosignError).message;
}

describe("a key", () => {
  test("says its public half when it is opened", async () => {
    expect(`${await publicKey(own)}\n`).toBe(readFileSync(key("own.pub"), "utf8"));
  });

  test.each<[string, { key: string; password?: string }, CosignReason, RegExp]>([
    ["with another password", { ...own, password: "wrong" }, "password", /^The password of the key .*own\.key is/],
    ["that is missing", { key: "/nowhere.key" }, "key", /^There is no key at \/nowhere\.key\.$/],
    ["in a variable that is not set", { key: "env://ZQ_NONE" }, "key", /env:\/\/ZQ_NONE, but that variable is not set/],
    ["that is text", { key: key("text.key") }, "key", /text\.key is no private key, as `cosign generate-key-pair`/],
    ["that is a public one", { key: key("own.pub") }, "key", /own\.pub is no private key/],
    ["that is a folder", { key: keys }, "key", /is no private key/],
    [
      "of a KMS that nobody is logged in to",
      { key: "hashivault://x" },
      "key",
      /hashivault:\/\/x cannot be used: .*ADDR/,
    ],
  ])("%s is told in a sentence", async (_what, signer, reason, sentence) => {
    expect(await refused(publicKey(signer), reason)).toMatch(sentence);
  });
});

describe("an image", () => {
  test("that is signed is verified, by its own key alone", async () => {
    const image = await push();
    expect(await refused(verifySignature(image, trust), "missing")).toBe(
      `${image} has no signature by the key ${trust.key}.`,
    );
    await sign(image, own);
    await verifySignature(image, trust);
    expect(await refused(verifySignature(image, { key: key("other.pub") }), "foreign")).toMatch(/was not signed by/);
  });

  test("with an SBOM alone is not signed, though cosign says so", async () => {
    const image = await push();
    await attest(image, "cyclonedx", key("sbom.json"), own);
    const args = ["verify", `--key=${trust.key}`, "--insecure-ignore-tlog=true", image];
    expect(await output("cosign", args)).toContain(predicateTypes.cyclonedx);
    await refused(verifySignature(image, trust), "missing");
    expect(await verifyAttestation(image, "cyclonedx", trust)).toMatchObject([{ components: [{ name: "torch" }] }]);
    expect(await refused(verifyAttestation(image, "slsaprovenance1", trust), "missing")).toMatch(
      /has no provenance by/,
    );
  });

  test("does not take what is attested of another one", async () => {
    const [image, other] = [await push(), await push()];
    await attest(other, "cyclonedx", key("sbom.json"), own);
    await attachBundle(image, await bundleOf(other));
    expect(await refused(verifyAttestation(image, "cyclonedx", trust), "foreign")).toMatch(/signed for another image/);
  });

  test("does not take what was changed by a byte", async () => {
    const image = await push();
    await attest(image, "cyclonedx", key("sbom.json"), own);
    const bundle = JSON.parse((await bundleOf(image)).toString());
    const { payload } = bundle.dsseEnvelope;
    const changed = Buffer.from(payload, "base64").toString().replace("torch", "torcn");
    bundle.dsseEnvelope.payload = Buffer.from(changed).toString("base64");
    expect(bundle.dsseEnvelope.payload).not.toBe(payload);
    await attachBundle(image, Buffer.from(JSON.stringify(bundle)));
    expect(await refused(verifyAttestation(image, "cyclonedx", trust), "foreign")).toMatch(/or was changed since/);
  });

  test("that is not there, or whose registry is not, cannot be signed", async () => {
    const nobody = `${repository}@sha256:${"a".repeat(64)}`;
    expect(await refused(sign(nobody, own), "registry")).toMatch(/404 Not Found/);
    expect(await refused(sign(nobody.replace(/:\d+/, ":1"), own), "registry")).toMatch(/connection refused/);
  });

  test("in a registry that asks for a login is worked on with the one that is given, which is not left behind", async () => {
    const image = await push();
    const { name, stop } = await behindLogin(image, "ann:zq-SECRET");
    const login = { username: "ann", password: "zq-SECRET" };
    process.env.TMPDIR = mkdtempSync(join(keys, "tmp-"));
    await refused(sign(name, own), "registry");
    await refused(sign(name, own, { ...login, password: "another" }), "registry");
    await sign(name, own, login);
    await verifySignature(name, trust, login);
    await refused(verifySignature(name, { key: key("other.pub") }, login), "foreign");
    expect(readdirSync(process.env.TMPDIR)).toEqual([]);
    delete process.env.TMPDIR;
    stop();
  });
});

/** Puts a door with a login in front of the registry. @returns the image's name there */
async function behindLogin(image: string, pair: string): Promise<{ name: string; stop(): void }> {
  const wanted = `Basic ${Buffer.from(pair).toString("base64")}`;
  const server = createServer((asked, answer) => {
    const { authorization, ...headers } = asked.headers;
    if (authorization !== wanted) {
      answer.writeHead(401, { "www-authenticate": 'Basic realm="door"' }).end();
      return;
    }
    const url = new URL(asked.url ?? "/", `https://${repository.split("/")[0]}`);
    const ca = readFileSync(join(paths.tls, "ca.pem"));
    // The registry calls itself as it was called, in the places where it sends an upload to.
    const sent = { method: asked.method, ca, headers: { ...headers, "x-forwarded-proto": "http" } };
    asked.pipe(
      request(url, sent, (response) => {
        response.pipe(answer.writeHead(response.statusCode ?? 500, response.headers));
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    name: image.replace(/:\d+/, `:${port}`),
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test("a cosign that is not installed is told", async () => {
  process.env.PATH = "/nowhere";
  expect(await refused(publicKey(own), "tool")).toMatch(/^cosign is not installed/);
  process.env.PATH = toolPath();
});
