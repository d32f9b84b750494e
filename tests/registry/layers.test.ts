import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readImage } from "../../registry/image.ts";
import { readLayer } from "../../registry/layers.ts";
import { readRecord } from "../../registry/record.ts";
import { Repository } from "../../registry/repository.ts";
import { Contents, serve, sha256, tarOf } from "./server.ts";

const proofPath = "usr/share/facecraft/proof.json";

const plain = "application/vnd.oci.image.layer.v1.tar";
const kinds = {
  [plain]: (bytes: Buffer) => bytes,
  "application/vnd.oci.image.layer.v1.tar+gzip": (bytes: Buffer) => gzipSync(bytes),
  "application/vnd.docker.image.rootfs.diff.tar.gzip": (bytes: Buffer) => gzipSync(bytes),
  "application/vnd.oci.image.layer.v1.tar+zstd": (bytes: Buffer) => zstdCompressSync(bytes),
};

/** Puts a layer into a registry and reads it from there. */
async function read(content: Buffer, mediaType: string, change = (bytes: Buffer) => bytes) {
  const contents = new Contents();
  const { digest, size } = contents.blob(content);
  contents.replace(`blobs/${digest}`, change(content));
  const repository = new Repository(`${await serve(contents.answer)}/facecraft`);
  const documents = new Map<string, string>();
  const layer = await readLayer(repository.stream({ digest, size }), { digest, mediaType }, documents);
  return { ...layer, documents };
}

describe("a layer", () => {
  const files = { "a/": "", "a/b": "12345", "a/.wh.c": "", "d/.wh..wh..opq": "", [proofPath]: '{"ü":1}' };

  test.each(Object.entries(kinds))(
    "of the type %s tells its files, what it hides, and its documents",
    async (mediaType, compress) => {
      const layer = await read(compress(await tarOf(files)), mediaType);
      expect(layer).toEqual({
        bytes: 5 + 8,
        files: [
          { path: "a/b", bytes: 5 },
          { path: proofPath, bytes: 8 },
        ],
        removed: ["a/c", "d/"],
        documents: new Map([[proofPath, '{"ü":1}']]),
      });
    },
  );

  test("that was compressed in several parts is read to its end, or refused where Node reads the first part only", async () => {
    const bytes = await tarOf({ "a/b": "12345", z: "last" });
    for (const [mediaType, compress] of Object.entries(kinds)) {
      const whole = Buffer.concat([bytes.subarray(0, 700), bytes.subarray(700)].map(compress));
      if (mediaType.endsWith("zstd")) {
        await expect(read(whole, mediaType)).rejects.toThrow("cannot be read: Unexpected end of data.");
      } else {
        expect((await read(whole, mediaType)).bytes, mediaType).toBe(9);
      }
    }
  });

  test("keeps the letters of a document that arrives in pieces", async () => {
    const text = JSON.stringify({ text: "äöü日本🙂".repeat(2000) });
    const bytes = await tarOf({ [proofPath]: text });
    async function* one() {
      for (const byte of bytes) {
        yield Buffer.of(byte);
      }
    }
    const documents = new Map<string, string>();
    await readLayer(one(), { digest: "x", mediaType: plain }, documents);
    expect(documents.get(proofPath)).toBe(text);
  });

  test("with a document that is too large is refused instead of being held in memory", async () => {
    const bytes = await tarOf({ [proofPath]: "x".repeat((16 << 20) + 1) });
    await expect(read(gzipSync(bytes), "application/vnd.oci.image.layer.v1.tar+gzip")).rejects.toThrow(
      `${proofPath} in it is too large for a document (16777217 bytes)`,
    );
  });

  test("is an error when any byte of it is another, or when it is cut, and keeps nothing of it", async () => {
    const content = gzipSync(await tarOf({ "a/b": "12345", [proofPath]: "{}" }));
    const places = fc.tuple(fc.nat(content.length - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(places, fc.boolean(), async ([at, flip], cut) => {
        const change = (bytes: Buffer) =>
          cut ? bytes.subarray(0, at) : Buffer.from(bytes.map((byte, place) => (place === at ? byte ^ flip : byte)));
        await expect(read(content, "application/vnd.oci.image.layer.v1.tar+gzip", change)).rejects.toThrow(
          /^(The layer sha256:\w+ cannot be read: .*|localhost:\d+ answered blob sha256:\w+ of facecraft with other bytes \(.*\))\.$/,
        );
      }),
      { numRuns: 60 },
    );
  });

  test("whose own bytes are damaged is an error though its digest is right", async () => {
    const bytes = await tarOf({ "a/b": "12345" });
    for (const [mediaType, compress] of Object.entries(kinds)) {
      for (const damaged of [bytes.subarray(0, 600), bytes.subarray(0, 1024), Buffer.from("no archive")]) {
        await expect(read(compress(damaged), mediaType), mediaType).rejects.toThrow(
          /^The layer sha256:\w+ cannot be read: /,
        );
      }
    }
    for (const [mediaType, compress] of Object.entries(kinds).slice(1)) {
      await expect(read(compress(bytes).subarray(0, 40), mediaType), mediaType).rejects.toThrow("cannot be read");
      await expect(read(bytes, mediaType), mediaType).rejects.toThrow("cannot be read");
    }
  });
});

describe("an image", () => {
  const gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
  const proof = { torch: "2.0.1+cpu", cuda: null, models: {}, packages: { torch: "2.0.1+cpu" }, boot: "passed" };

  async function made() {
    const contents = new Contents();
    const first = gzipSync(await tarOf({ "app/a": "12345" }));
    const last = gzipSync(await tarOf({ [proofPath]: JSON.stringify(proof) }));
    const config = {
      created: "2026-01-01T00:00:00Z",
      config: { Labels: { a: "b" }, User: "1000:1000" },
      history: [{ created_by: "FROM" }, { created_by: "ENV", empty_layer: true }, { created_by: "COPY /tmp/proof/ /" }],
    };
    const layers = [first, last].map((content) => ({ content, mediaType: gzip }));
    const digest = contents.image(config, layers, "cpu");
    return { contents, digest, host: await serve(contents.answer), first, config };
  }

  test("is told with its layers, who made them, and its documents", async () => {
    const { host, digest, first } = await made();
    const reference = `${host}/facecraft:cpu@${digest}`;
    const image = await readImage(reference);
    expect(image).toMatchObject({ reference, digest, created: "2026-01-01T00:00:00Z", labels: { a: "b" } });
    expect(image.history).toEqual(["FROM", "ENV", "COPY /tmp/proof/ /"]);
    expect(image.layers.map(({ madeBy }) => madeBy)).toEqual(["FROM", "COPY /tmp/proof/ /"]);
    expect(image.layers[0]).toMatchObject({ digest: sha256(first), compressedBytes: first.length, bytes: 5 });
    expect(JSON.parse(image.documents.get(proofPath) ?? "")).toEqual(proof);
    expect(await readImage(`${host}/facecraft:cpu`)).toEqual({ ...image, reference: `${host}/facecraft:cpu` });
  });

  test("of several platforms is that of linux/amd64, or else the first that is an image", async () => {
    const { contents, host, digest } = await made();
    const other = contents.image({}, []);
    const entry = (digest: string, os: string, architecture: string) => ({ digest, platform: { os, architecture } });
    const attestation = entry(contents.manifest("{}"), "unknown", "unknown");
    contents.manifest(
      { manifests: [attestation, entry(other, "linux", "arm64"), entry(digest, "linux", "amd64")] },
      "both",
    );
    contents.manifest(
      { manifests: [attestation, entry(digest, "linux", "arm64"), entry(other, "linux", "s390x")] },
      "arm",
    );
    contents.manifest({ manifests: [{ digest }] }, "unnamed");
    for (const tag of ["both", "arm", "unnamed"]) {
      expect((await readImage(`${host}/facecraft:${tag}`)).digest, tag).toBe(digest);
    }
    contents.manifest({ manifests: [attestation] }, "none");
    contents.manifest({ manifests: [] }, "empty");
    for (const tag of ["none", "empty"]) {
      await expect(readImage(`${host}/facecraft:${tag}`)).rejects.toThrow(
        `${host} has no image under ${tag} of facecraft.`,
      );
    }
  });

  test("that is none is said to be none", async () => {
    const { contents, host } = await made();
    const digest = contents.manifest({ layers: [] }, "artifact");
    await expect(readImage(`${host}/facecraft:artifact`)).rejects.toThrow(
      `${digest} of facecraft in ${host} is no image: its manifest names no configuration.`,
    );
    contents.manifest({ config: contents.blob("no json") }, "text");
    await expect(readImage(`${host}/facecraft:text`)).rejects.toThrow("is no image: its configuration is no JSON.");
  });

  test("has a record of its proof in its last layer, or is not one of ours", async () => {
    const { contents, host, digest, first, config } = await made();
    expect(await readRecord(`${host}/facecraft`, digest)).toEqual(proof);
    expect(await readRecord(`${host}/facecraft`, "cpu")).toEqual(proof);
    const plainImage = contents.image(config, [{ content: first, mediaType: gzip }], "plain");
    contents.image({}, [], "empty");
    const none = "has no record of a proof: it is no image of this project.";
    await expect(readRecord(`${host}/facecraft`, plainImage)).rejects.toThrow(
      `${host}/facecraft@${plainImage} ${none}`,
    );
    await expect(readRecord(`${host}/facecraft`, "empty")).rejects.toThrow(`${host}/facecraft:empty ${none}`);
  });
});
