import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compareModels, compareProven, comparePublished, type Expectation } from "../../registry/published.ts";
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

/** A registry with one image, and what is expected of it. */
async function published(): Promise<{ contents: Contents; host: string; expected: Expectation }> {
  const contents = new Contents();
  const digest = contents.image(config, [], "cpu");
  const host = await serve(contents.answer);
  const expected = { repository: `${host}/facecraft`, tags: ["cpu"], digest, labels, models: {}, healthcheck };
  return { contents, host, expected: { ...expected, user: "1000:1000", platforms: ["linux/amd64"] } };
}

describe("a published image", () => {
  test("that is what was asked for gives no difference", async () => {
    expect(await comparePublished((await published()).expected)).toEqual([]);
  });

  test("with another label, user or health check gives a sentence each", async () => {
    const { expected } = await published();
    const wanted = {
      ...expected,
      labels: { "org.opencontainers.image.title": "other" },
      user: "0:0",
      healthcheck: { ...healthcheck, retries: 5 },
    };
    expect(await comparePublished(wanted)).toEqual([
      `The image's label org.opencontainers.image.title is "facecraft", but "other" was asked for.`,
      `The image's user is "1000:1000", but "0:0" was asked for.`,
      "The image's health check retries is 3, but 5 was asked for.",
    ]);
  });

  test("without any configuration of its own gives a sentence each too", async () => {
    const { contents, expected } = await published();
    const digest = contents.image({}, [], "cpu");
    const differences = await comparePublished({ ...expected, digest });
    expect(differences).toContain(`The image's user is not set, but "1000:1000" was asked for.`);
    expect(differences).toContain("The image is for nothing/nothing, but linux/amd64 was asked for.");
    expect(differences).toHaveLength(10);
  });

  test("whose tag was moved by somebody else is told apart by its digest", async () => {
    const { contents, host, expected } = await published();
    const other = contents.image({ ...config, author: "somebody else" }, [], "cpu");
    expect(await comparePublished(expected)).toEqual([
      `${host}/facecraft:cpu is ${other}, but ${expected.digest} was pushed.`,
    ]);
  });

  test("for several platforms is compared on each, and its attestations are left aside", async () => {
    const { contents, expected } = await published();
    const arm64 = contents.image({ ...config, architecture: "arm64" }, []);
    const wrong = contents.image({ ...config, architecture: "arm64", config: { ...config.config, User: "0" } }, []);
    const both = { ...expected, platforms: ["linux/arm64", "linux/amd64"] };
    const index = (...digests: string[]) => ({
      manifests: [
        ...digests.map((digest, at) => ({ digest, platform: { os: "linux", architecture: ["amd64", "arm64"][at] } })),
        { digest: contents.manifest("{}"), platform: { os: "unknown", architecture: "unknown" } },
      ],
    });
    const right = contents.manifest(index(expected.digest, arm64), "cpu");
    expect(await comparePublished({ ...both, digest: right })).toEqual([]);
    const other = contents.manifest(index(expected.digest, wrong), "cpu");
    expect(await comparePublished({ ...both, digest: other })).toEqual([
      `The image's user is "0", but "1000:1000" was asked for.`,
    ]);
  });

  test.each([
    ["another architecture", { architecture: "arm64" }, "linux/arm64"],
    ["another system", { os: "windows" }, "windows/amd64"],
    ["a variant of the architecture", { variant: "v3" }, "linux/amd64/v3"],
  ])("for %s gives a sentence", async (_what, change, is) => {
    const { contents, expected } = await published();
    const digest = contents.image({ ...config, ...change }, [], "cpu");
    expect(await comparePublished({ ...expected, digest })).toEqual([
      `The image is for ${is}, but linux/amd64 was asked for.`,
    ]);
  });

  test("for fewer or more platforms than were asked for gives a sentence", async () => {
    const { contents, expected } = await published();
    const arm64 = contents.image({ ...config, architecture: "arm64" }, []);
    const manifests = [expected.digest, arm64].map((digest) => ({ digest }));
    const digest = contents.manifest({ manifests }, "cpu");
    expect(await comparePublished({ ...expected, digest })).toEqual([
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
  const models = { "/app/models/a": "1".repeat(64), "/app/models/b": "2".repeat(64) };
  expect(compareModels({ models }, { models })).toEqual([]);
  expect(compareModels({ models }, { models: { "/app/models/a": "3".repeat(64) } })).toEqual([
    `/app/models/a in the image was proven to be ${"3".repeat(64)}, but ${"1".repeat(64)} was asked for.`,
    `/app/models/b in the image was proven to be absent, but ${"2".repeat(64)} was asked for.`,
  ]);
});

describe("the record of the proof", () => {
  const models = { "/app/models/a": "1".repeat(64) };

  /** An image with a record of its proof. @returns its digest */
  async function proven(contents: Contents, architecture: string, record: object): Promise<string> {
    const tar = await tarOf({ "usr/share/facecraft/proof.json": JSON.stringify({ models, ...record }) });
    const layer = { content: gzipSync(tar), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
    return contents.image({ ...config, architecture }, [layer]);
  }

  test.each([
    ["amd64", { architecture: "amd64" }, []],
    ["arm64", { architecture: "amd64" }, ["linux/arm64, but its Python was proven to be built for amd64."]],
    ["amd64", { architecture: "the ELF machine 8" }, ["for linux/amd64, but its Python .* the ELF machine 8."]],
    ["amd64", {}, ["its Python was proven to be built for nothing that was recorded."]],
    ["amd64", { architecture: "amd64", models: {} }, ["/app/models/a in the image was proven to be absent"]],
  ])("of an image for %s that says %j is compared with the image", async (architecture, record, said) => {
    const { contents, expected } = await published();
    const digest = await proven(contents, architecture, record);
    const differences = await compareProven({ ...expected, models, digest });
    expect(differences).toEqual(said.map((part) => expect.stringMatching(part)));
  });

  test("is read from the image of each platform", async () => {
    const { contents, expected } = await published();
    const images = [
      await proven(contents, "amd64", { architecture: "amd64" }),
      await proven(contents, "arm64", { architecture: "amd64" }),
    ];
    const digest = contents.manifest({ manifests: images.map((image) => ({ digest: image })) });
    expect(await compareProven({ ...expected, models, digest })).toEqual([
      "The image says that it is for linux/arm64, but its Python was proven to be built for amd64.",
    ]);
  });
});
