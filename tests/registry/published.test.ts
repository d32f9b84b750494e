import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compareModels, compareProof, comparePublished, type Expectation } from "../../registry/published.ts";
import type { ProofRecord } from "../../registry/record.ts";
import { Contents, serve, sha256, tarOf } from "./server.ts";

const labels = { "org.opencontainers.image.title": "facecraft" };
const config = {
  os: "linux",
  architecture: "amd64",
  config: {
    User: "1000:1000",
    Labels: labels,
    Env: ["PATH=/usr/bin", "HEALTHCHECK_PATH=/ready"],
    ExposedPorts: { "8000/tcp": {} },
    Healthcheck: { Test: ["CMD", "healthcheck"], Interval: 30e9, Timeout: 10e9, StartPeriod: 180e9, Retries: 3 },
  },
};
const healthcheck = { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "3m", retries: 3 };

const models = { "/app/models/a": "1".repeat(64), "/app/models/b": "2".repeat(64) };
const record: ProofRecord = {
  torch: "2.0.1+cpu",
  cuda: null,
  onnxruntime: "1.32.0",
  architecture: "amd64",
  models,
  packages: {},
  boot: "passed",
  portrait: "passed",
  modelsOpened: Object.keys(models),
  unusedModels: [],
  network: "silent",
  environment: {},
  gpu: null,
};
const proof = { boots: true, unusedModels: [], network: "refused" as const, environment: {}, onGpu: false };

/** The layers in which an image has its measurements, where there are any, and its record. */
async function layersOf(...documents: Record<string, object>[]) {
  const archives = documents.map((files) =>
    tarOf(
      Object.fromEntries(
        Object.entries(files).map(([name, content]) => [`usr/share/facecraft/${name}`, JSON.stringify(content)]),
      ),
    ),
  );
  const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
  return (await Promise.all(archives)).map((tar) => ({ content: gzipSync(tar), mediaType }));
}
const proven = (of: object = record) => layersOf({ "proof.json": of });

/** A registry with one image, and what is expected of it. */
async function published(): Promise<{ contents: Contents; host: string; expected: Expectation }> {
  const contents = new Contents();
  const digest = contents.image(config, await proven(), "cpu");
  const host = await serve(contents.answer);
  const expected = { repository: `${host}/facecraft`, tags: ["cpu"], digest, labels, models, healthcheck, proof };
  return { contents, host, expected: { ...expected, user: "1000:1000", platforms: ["linux/amd64"] } };
}

const differencesFrom = async (expected: Expectation) => (await comparePublished(expected)).differences;

describe("a published image", () => {
  test("that is what was asked for gives no difference", async () => {
    expect(await differencesFrom((await published()).expected)).toEqual([]);
  });

  test("with another label, user or health check gives a sentence each", async () => {
    const { expected } = await published();
    const wanted = {
      ...expected,
      labels: { "org.opencontainers.image.title": "other" },
      user: "0:0",
      healthcheck: { ...healthcheck, retries: 5 },
    };
    expect(await differencesFrom(wanted)).toEqual([
      `The image's label org.opencontainers.image.title is "facecraft", but "other" was asked for.`,
      `The image's user is "1000:1000", but "0:0" was asked for.`,
      "The image's health check retries is 3, but 5 was asked for.",
    ]);
  });

  test("without any configuration of its own gives a sentence each too", async () => {
    const { contents, expected } = await published();
    const digest = contents.image({}, await proven(), "cpu");
    const differences = await differencesFrom({ ...expected, digest });
    expect(differences).toContain(`The image's user is not set, but "1000:1000" was asked for.`);
    expect(differences).toContain("The image is for nothing/nothing, but linux/amd64 was asked for.");
    expect(differences).toContain(
      "The image says that it is for nothing/nothing, but its Python was proven to be built for amd64.",
    );
    expect(differences).toHaveLength(11);
  });

  test("whose tag was moved by somebody else is told apart by its digest", async () => {
    const { contents, host, expected } = await published();
    const other = contents.image({ ...config, author: "somebody else" }, await proven(), "cpu");
    expect(await differencesFrom(expected)).toEqual([
      `${host}/facecraft:cpu is ${other}, but ${expected.digest} was pushed.`,
    ]);
  });

  test("for several platforms is compared on each, and its attestations are left aside", async () => {
    const { contents, expected } = await published();
    const arm64 = contents.image(
      { ...config, architecture: "arm64" },
      await proven({ ...record, architecture: "arm64" }),
    );
    const wrong = contents.image(
      { ...config, architecture: "arm64", config: { ...config.config, User: "0" } },
      await proven({ ...record, architecture: "arm64" }),
    );
    const both = { ...expected, platforms: ["linux/arm64", "linux/amd64"] };
    const index = (...digests: string[]) => ({
      manifests: [
        ...digests.map((digest, at) => ({ digest, platform: { os: "linux", architecture: ["amd64", "arm64"][at] } })),
        { digest: contents.manifest("{}"), platform: { os: "unknown", architecture: "unknown" } },
      ],
    });
    const right = contents.manifest(index(expected.digest, arm64), "cpu");
    expect(await differencesFrom({ ...both, digest: right })).toEqual([]);
    const other = contents.manifest(index(expected.digest, wrong), "cpu");
    expect(await differencesFrom({ ...both, digest: other })).toEqual([
      `The image's user is "0", but "1000:1000" was asked for.`,
    ]);
  });

  test.each([
    ["another architecture", { architecture: "arm64" }, "linux/arm64"],
    ["another system", { os: "windows" }, "windows/amd64"],
    ["a variant of the architecture", { variant: "v3" }, "linux/amd64/v3"],
  ])("for %s gives a sentence", async (_what, change, is) => {
    const { contents, expected } = await published();
    const { architecture } = { ...config, ...change };
    const digest = contents.image({ ...config, ...change }, await proven({ ...record, architecture }), "cpu");
    expect(await differencesFrom({ ...expected, digest })).toEqual([
      `The image is for ${is}, but linux/amd64 was asked for.`,
    ]);
  });

  test("for fewer or more platforms than were asked for gives a sentence", async () => {
    const { contents, expected } = await published();
    const arm64 = contents.image(
      { ...config, architecture: "arm64" },
      await proven({ ...record, architecture: "arm64" }),
    );
    const manifests = [expected.digest, arm64].map((digest) => ({ digest }));
    const digest = contents.manifest({ manifests }, "cpu");
    expect(await differencesFrom({ ...expected, digest })).toEqual([
      "The image is for linux/amd64, linux/arm64, but linux/amd64 was asked for.",
    ]);
  });

  test("from a registry that answers a digest with other bytes is refused", async () => {
    const { contents, host, expected } = await published();
    contents.replace(`blobs/${sha256(JSON.stringify(config))}`, JSON.stringify(config).replace("1000", "2000"));
    await expect(comparePublished(expected)).rejects.toThrow(
      new RegExp(`^${host} answered blob sha256:\\w+ of facecraft with other bytes \\(sha256:`),
    );
  });

  test("that is not there is said with the address that was asked", async () => {
    const { host, expected } = await published();
    await expect(comparePublished({ ...expected, tags: ["gone"] })).rejects.toThrow(
      `http://${host}/v2/facecraft/manifests/gone answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown).`,
    );
  });
});

test("a model that the proof found to be another is told apart by its pin", () => {
  expect(compareModels({ models }, { models })).toEqual([]);
  expect(compareModels({ models }, { models: { "/app/models/a": "3".repeat(64) } })).toEqual([
    `/app/models/a in the image was proven to be ${"3".repeat(64)}, but ${"1".repeat(64)} was asked for.`,
    `/app/models/b in the image was proven to be absent, but ${"2".repeat(64)} was asked for.`,
  ]);
});

describe("what the proof found out about the application at work", () => {
  const gpu = { name: "NVIDIA A10", capability: "8.6", driver: "535.104.05", provider: "CUDAExecutionProvider" };
  const off: ProofRecord = { ...record, boot: "off", portrait: "off", modelsOpened: [], network: "off" };
  const said = (asked: object, found: Partial<ProofRecord>) =>
    compareProof({ models, proof: { ...proof, ...asked } }, { ...record, ...found });
  const sentence = (what: string, is: string, wanted: string) =>
    `The ${what} in the image's record of its proof is ${is}, but ${wanted} was asked for.`;
  const [a, b] = Object.keys(models);

  test.each<[string, object, Partial<ProofRecord>]>([
    ["as always", {}, {}],
    ["no smoke test", { boots: false }, off],
    ["no smoke test, with a model that nobody need open", { boots: false, unusedModels: [b] }, off],
    ["a model that nobody opens", { unusedModels: [b] }, { unusedModels: [b as string], modelsOpened: [a as string] }],
    ["an application that may ask, and does", { network: "allowed" }, { network: "asked" }],
    ["an application that may ask, and does not", { network: "allowed" }, { network: "silent" }],
    ["an environment", { environment: { A: "1", B: "2" } }, { environment: { B: "2", A: "1" } }],
    ["a GPU", { onGpu: true }, { gpu }],
    ["a GPU that was not asked for", {}, { gpu }],
  ])("is right where it is what was asked for: %s", (_what, asked, found) => {
    expect(said(asked, found)).toEqual([]);
  });

  test.each<[string, object, Partial<ProofRecord>, string[]]>([
    ["a boot that was left out", {}, { boot: "off" }, [sentence("boot", '"off"', '"passed"')]],
    ["a portrait that was left out", {}, { portrait: "off" }, [sentence("portrait", '"off"', '"passed"')]],
    ["an application that asks", {}, { network: "asked" }, [sentence("network", '"asked"', '"silent"')]],
    ["nobody who watched", { network: "allowed" }, { network: "off" }, [sentence("network", '"off"', '"silent"')]],
    [
      "a model that was not opened",
      {},
      { modelsOpened: [a as string] },
      [sentence("list of opened models", `["${a}"]`, `["${a}","${b}"]`)],
    ],
    [
      "a model that was let pass unasked",
      {},
      { modelsOpened: [a as string], unusedModels: [b as string] },
      [
        sentence("list of opened models", `["${a}"]`, `["${a}","${b}"]`),
        sentence("list of unused models", `["${b}"]`, "[]"),
      ],
    ],
    [
      "a model that is opened after all",
      { unusedModels: [b] },
      { unusedModels: [b as string] },
      [sentence("list of opened models", `["${a}","${b}"]`, `["${a}"]`)],
    ],
    [
      "an environment that nobody asked for",
      {},
      { environment: { A: "1" } },
      [sentence("environment", '[["A","1"]]', "[]")],
    ],
    ["no GPU", { onGpu: true }, {}, ["The image's record of its proof names no GPU, but it was to be proven on one."]],
  ])("is told where it is not: %s", (_what, asked, found, sentences) => {
    expect(said(asked, found)).toEqual(sentences);
  });

  test("is told of a record of an earlier version, which has none of it", () => {
    const {
      portrait: _,
      modelsOpened: __,
      unusedModels: ___,
      network: ____,
      environment: _____,
      gpu,
      ...older
    } = record;
    expect(gpu).toBeNull();
    expect(compareProof({ models, proof }, older)).toEqual([
      sentence("portrait", "not there", '"passed"'),
      sentence("network", "not there", '"silent"'),
      sentence("list of opened models", "[]", `["${a}","${b}"]`),
    ]);
  });
});

describe("the record of the proof", () => {
  /** An image with a record of its proof. @returns its digest */
  async function imageOf(contents: Contents, architecture: string, change: object): Promise<string> {
    const { architecture: _, ...rest } = record;
    return contents.image({ ...config, architecture }, await proven({ ...rest, ...change }), "cpu");
  }

  test.each([
    ["amd64", { architecture: "amd64" }, []],
    ["arm64", { architecture: "amd64" }, ["linux/arm64, but its Python was proven to be built for amd64."]],
    ["amd64", { architecture: "the ELF machine 8" }, ["for linux/amd64, but its Python .* the ELF machine 8."]],
    ["amd64", {}, ["its Python was proven to be built for nothing that was recorded."]],
    [
      "amd64",
      { architecture: "amd64", models: { ...models, "/app/models/a": undefined } },
      ["/app/models/a in the image was proven to be absent"],
    ],
  ])("of an image for %s that says %j is compared with the image", async (architecture, change, said) => {
    const { contents, expected } = await published();
    const digest = await imageOf(contents, architecture, change);
    const platforms = [`linux/${architecture}`];
    const { differences } = await comparePublished({ ...expected, digest, platforms });
    expect(differences).toEqual(said.map((part) => expect.stringMatching(part)));
  });

  test("is read from the image of each platform", async () => {
    const { contents, expected } = await published();
    const images = [
      await imageOf(contents, "amd64", { architecture: "amd64" }),
      await imageOf(contents, "arm64", { architecture: "amd64" }),
    ];
    const digest = contents.manifest({ manifests: images.map((image) => ({ digest: image })) }, "cpu");
    const platforms = ["linux/amd64", "linux/arm64"];
    expect((await comparePublished({ ...expected, platforms, digest })).differences).toEqual([
      "The image says that it is for linux/arm64, but its Python was proven to be built for amd64.",
    ]);
  });

  test("is read once, with the measurements in the layer below it", async () => {
    const measured = { readySeconds: 1.8, peakMemoryBytes: 412_345_678, portraitSeconds: 0.8 };
    const contents = new Contents();
    const asked: string[] = [];
    const host = await serve((request, response) => {
      asked.push(request.url ?? "");
      contents.answer(request, response);
    });
    const layers = await layersOf({ "proof.json": {} }, { "measured.json": measured }, { "proof.json": record });
    const digest = contents.image(config, layers, "cpu");
    const { expected } = await published();
    const found = await comparePublished({ ...expected, repository: `${host}/facecraft`, digest });
    expect(found).toEqual({ differences: [], images: [{ digest, config, record, measured }] });
    const blobs = asked.filter((url) => url.includes("/blobs/"));
    expect(blobs).toHaveLength(3);
    expect(new Set(blobs).size).toBe(3);
  });

  test.each([
    ["one layer only", [] as Record<string, object>[]],
    ["another layer below it", [{ "models.json": {} }]],
    ["measurements that are empty", [{ "measured.json": {} }]],
  ])("may stand without measurements: %s", async (_what, below) => {
    const { contents, expected } = await published();
    const digest = contents.image(config, await layersOf(...below, { "proof.json": record }), "cpu");
    const { images } = await comparePublished({ ...expected, digest });
    expect(images).toMatchObject([{ record, measured: {} }]);
  });

  test("that is not there, or is no JSON, is told with the image", async () => {
    const { contents, expected } = await published();
    const none = contents.image(config, [], "cpu");
    await expect(comparePublished({ ...expected, digest: none })).rejects.toThrow(
      `${expected.repository}@${none} has no record of a proof: it is no image of this project.`,
    );
    const mediaType = "application/vnd.oci.image.layer.v1.tar";
    const content = await tarOf({ "usr/share/facecraft/proof.json": "{" });
    const broken = contents.image(config, [{ content, mediaType }], "cpu");
    await expect(comparePublished({ ...expected, digest: broken })).rejects.toThrow(
      `${expected.repository}@${broken} has a record of its proof that is no JSON.`,
    );
  });
});
