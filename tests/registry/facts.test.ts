import { describe, expect, test } from "vitest";
import { readFacts } from "../../registry/facts.ts";
import { facts as made } from "../attest/made.ts";
import { Contents, serve, tarOf } from "./server.ts";

const mediaType = "application/vnd.oci.image.layer.v1.tar";
const layer = async (files: Record<string, unknown>) => ({
  mediaType,
  content: await tarOf(
    Object.fromEntries(
      Object.entries(files).map(([name, content]) => [
        `usr/share/facecraft/${name}`,
        typeof content === "string" ? content : JSON.stringify(content),
      ]),
    ),
  ),
});

const config = {
  os: "linux",
  architecture: "amd64",
  created: made.created,
  config: { Labels: made.labels },
  history: [
    { created_by: "ADD" },
    { created_by: "ENV", empty_layer: true },
    { created_by: "MEASURED" },
    { created_by: "PROOF" },
  ],
};

/** A registry, and what it was asked for. */
async function registry() {
  const contents = new Contents();
  const asked: string[] = [];
  const host = await serve((request, response) => {
    asked.push((request.url ?? "").replace("/v2/facecraft/", ""));
    contents.answer(request, response);
  });
  return { contents, asked, repository: `${host}/facecraft` };
}

const below = () => layer({ "a large layer": "" });
const measured = () => layer({ "measured.json": made.measured });
const proof = (contents: unknown = made.contents) =>
  layer({ "proof.json": made.record, ...(contents !== undefined && { "contents.json": contents }) });

describe("the facts of an image", () => {
  test("are read from the manifest, the configuration and the last two layers", async () => {
    const { contents, asked, repository } = await registry();
    const digest = contents.image(config, [await below(), await measured(), await proof()], "cpu");
    const facts = await readFacts(`${repository}:cpu`);
    expect(facts).toEqual({
      ...made,
      repository,
      digest,
      manifestDigest: digest,
      layers: [
        { digest: expect.any(String), size: (await below()).content.length, madeBy: "ADD" },
        { digest: expect.any(String), size: (await measured()).content.length, madeBy: "MEASURED" },
        { digest: expect.any(String), size: (await proof()).content.length, madeBy: "PROOF" },
      ],
    });
    expect(asked.filter((path) => path.startsWith("blobs/"))).not.toContain(`blobs/${facts.layers[0]?.digest}`);
    expect(await readFacts({ repository, digest })).toEqual(facts);
    expect(await readFacts(`${repository}:gone@${digest}`)).toEqual(facts);
  });

  test("of an index are those of linux/amd64, under the digest of the index", async () => {
    const { contents, repository } = await registry();
    const arm = contents.image({ ...config, architecture: "arm64" }, [await proof()]);
    const amd = contents.image(config, [await below(), await proof()]);
    const entry = (architecture: string, digest: string) => ({ digest, platform: { os: "linux", architecture } });
    const digest = contents.manifest({ manifests: [entry("arm64", arm), entry("amd64", amd)] }, "cpu");
    expect(await readFacts(`${repository}:cpu`)).toMatchObject({
      digest,
      manifestDigest: amd,
      platform: "linux/amd64",
    });
    expect(await readFacts(`${repository}@${arm}`)).toMatchObject({ digest: arm, platform: "linux/arm64" });
  });

  test("of an image of an earlier version have no list of its contents", async () => {
    const { contents, repository } = await registry();
    const record = await layer({ "proof.json": made.record });
    contents.image({ os: "linux", architecture: "amd64" }, [record], "cpu");
    const facts = await readFacts(`${repository}:cpu`);
    expect(facts).not.toHaveProperty("contents");
    expect(facts).toMatchObject({ created: "", labels: {}, measured: {}, layers: [{ madeBy: "" }] });
  });

  test.each<[what: string, contents: unknown, sentence: RegExp]>([
    ["no JSON", "{", /has a list of its contents that is no JSON\.$/],
    ["a number", 7, /has a list of its contents of another shape: all of it: /],
    ["without Debian's packages", { ...made.contents, debian: undefined }, /of another shape: debian: /],
    [
      "with a sum that is none",
      { ...made.contents, models: [{ ...made.contents?.models[0], sha256: "0" }] },
      /of another shape: models\.0\.sha256: /,
    ],
  ])("cannot be told by contents that are %s", async (_what, given, sentence) => {
    const { contents, repository } = await registry();
    contents.image(config, [await proof(given)], "cpu");
    await expect(readFacts(`${repository}:cpu`)).rejects.toThrow(sentence);
    await expect(readFacts(`${repository}:cpu`)).rejects.toThrow(`${repository}@sha256:`);
  });
});
