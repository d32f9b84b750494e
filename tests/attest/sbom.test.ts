import { describe, expect, test } from "vitest";
import { checkSbom, sbomOf } from "../../attest/sbom.ts";
import { commit, facts, hex } from "./made.ts";

const parsed = (of = facts) => JSON.parse(sbomOf(of));
const component = (name: string, of = facts) =>
  parsed(of).components.find((part: { name: string }) => part.name === name);

describe("the bill of materials", () => {
  test("keeps to the schema, and is the same for the same image", async () => {
    const text = sbomOf(facts);
    expect(await checkSbom(text)).toEqual([]);
    expect(sbomOf(structuredClone(facts))).toBe(text);
    expect(text.endsWith("}\n")).toBe(true);
  });

  test("is of the image, by its digest and with its own date", () => {
    const { bomFormat, specVersion, serialNumber, metadata } = parsed();
    expect([bomFormat, specVersion]).toEqual(["CycloneDX", "1.6"]);
    expect(serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(parsed({ ...facts, digest: `sha256:${hex("9")}` }).serialNumber).not.toBe(serialNumber);
    expect(metadata.timestamp).toBe("2023-11-14T22:13:20.000Z");
    expect(metadata.component).toMatchObject({
      type: "container",
      name: "facecraft",
      version: "1.2.3",
      purl: `pkg:oci/facecraft@sha256:${hex("a")}?arch=amd64`,
      hashes: [{ alg: "SHA-256", content: hex("a") }],
    });
  });

  test("is the same for a copy of the image in another repository", () => {
    expect(sbomOf({ ...facts, repository: "docker.io/another/name" })).toBe(sbomOf(facts));
  });

  test("has the application by its commit", () => {
    expect(component("facecraft")).toMatchObject({
      type: "application",
      version: commit,
      purl: `pkg:github/djok/facecraft@${commit}`,
      licenses: [{ license: { id: "MIT" } }],
      externalReferences: [{ type: "vcs", url: "https://github.com/djok/facecraft" }],
    });
    const labels = { ...facts.labels, "org.opencontainers.image.revision": `${commit}-dirty-0123456789ab` };
    expect(component("facecraft", { ...facts, labels })).not.toHaveProperty("purl");
  });

  test("has the base by its digest, and its distribution", async () => {
    expect(component("docker.io/library/python")).toMatchObject({
      type: "container",
      version: "3.11-slim",
      purl: `pkg:oci/python@sha256:${hex("d")}?repository_url=docker.io%2Flibrary%2Fpython&tag=3.11-slim`,
      hashes: [{ alg: "SHA-256", content: hex("d") }],
    });
    expect(component("debian")).toMatchObject({ type: "operating-system", version: "12" });
    const without = { ...facts, labels: {} };
    expect(component("docker.io/library/python", without)).toBeUndefined();
    expect(await checkSbom(sbomOf(without))).toEqual([]);
  });

  test("has the packages of Python, with the sum of what was downloaded and its index", () => {
    expect(component("torch")).toMatchObject({
      type: "library",
      version: "2.0.1+cpu",
      purl: "pkg:pypi/torch@2.0.1%2Bcpu",
      hashes: [{ alg: "SHA-256", content: hex("4") }],
      properties: [
        { name: "facecraft:index", value: "torch" },
        { name: "facecraft:file", value: "torch-2.0.1+cpu-cp311-cp311-linux_x86_64.whl" },
      ],
    });
  });

  test("has the base's Python, and the packages that it has for that one", () => {
    expect(component("python")).toMatchObject({
      type: "application",
      version: "3.11.9",
      cpe: "cpe:2.3:a:python:python:3.11.9:*:*:*:*:*:*:*",
    });
    expect(component("pip")).toMatchObject({ purl: "pkg:pypi/pip@24.0" });
    const refs = parsed().components.map((part: { "bom-ref": string }) => part["bom-ref"]);
    expect(new Set(refs).size).toBe(refs.length);
    expect(refs).toEqual(
      expect.arrayContaining(["pkg:pypi/basicsr@1.4.2", expect.stringMatching(/site-packages\/basicsr@/)]),
    );
  });

  test("has those of Debian, with what a scanner looks for", () => {
    const purls = parsed().components.map(({ purl }: { purl?: string }) => purl);
    for (const purl of [
      "pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=debian-12&upstream=glibc",
      "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12",
      "pkg:deb/debian/perl-base@5.36.0-7?arch=amd64&distro=debian-12&upstream=perl%405.36.0-7~x1",
      "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12",
    ]) {
      expect(purls).toContain(purl);
    }
  });

  test("has the models, with their sums, sizes and where they came from", () => {
    expect(component("CodeFormer")).toMatchObject({
      type: "machine-learning-model",
      hashes: [{ alg: "SHA-256", content: hex("e") }],
      externalReferences: [{ type: "distribution", url: facts.contents?.models[0]?.url }],
      properties: [
        { name: "facecraft:file", value: "/app/models/codeformer/codeformer.pth" },
        { name: "facecraft:sizeBytes", value: "376637898" },
      ],
    });
  });

  test("says that the image depends on all of them", () => {
    const { metadata, components, dependencies } = parsed();
    const image = dependencies.find(({ ref }: { ref: string }) => ref === metadata.component["bom-ref"]);
    expect(image.dependsOn).toEqual(components.map((part: { "bom-ref": string }) => part["bom-ref"]));
  });

  test("cannot be had of an image that does not say what is in it", () => {
    const { contents: _, ...earlier } = facts;
    expect(() => sbomOf(earlier)).toThrow(/^localhost:5000\/djok\/facecraft@sha256:a+ has no list of its contents, /);
  });
});

describe("what is no bill of materials", () => {
  test.each<[what: string, change: (bom: ReturnType<typeof parsed>) => void, sentence: string]>([
    [
      "a component of an unknown type",
      ({ components }) => Object.assign(components[0], { type: "portrait" }),
      "/components/0/type: must be equal to one of the allowed values",
    ],
    ["more than the schema knows", (bom) => Object.assign(bom, { more: 1 }), "the whole: must NOT have additional"],
    [
      "a sum that is none",
      ({ components }) => Object.assign(components.at(-1).hashes[0], { content: "0" }),
      `/components/${parsed().components.length - 1}/hashes/0/content: must match`,
    ],
  ])("is told what is wrong with it: %s", async (_, change, sentence) => {
    const bom = parsed();
    change(bom);
    expect((await checkSbom(JSON.stringify(bom))).join("\n")).toContain(sentence);
  });

  test("is told so where it is no JSON", async () => {
    expect(await checkSbom("<bom/>")).toEqual(["the whole: is no JSON"]);
  });
});
