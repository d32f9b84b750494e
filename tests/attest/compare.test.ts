import { describe, expect, test } from "vitest";
import {
  type Claims,
  compareClaims,
  compareContents,
  compareProvenance,
  compareStatement,
} from "../../attest/compare.ts";
import { compareSbom } from "../../attest/compareSbom.ts";
import { type ParsedProvenance, parseProvenance, provenanceOf } from "../../attest/provenance.ts";
import { sbomOf } from "../../attest/sbom.ts";
import type { ImageFacts } from "../../registry/facts.ts";
import { commit, facts, hex, inputs } from "./made.ts";

const flavours = { cpu: "cpu", gpu: "cu118" };
const other = "9".repeat(40);
const codeformer = "/app/models/codeformer/codeformer.pth";
const provenance: ParsedProvenance = parseProvenance(JSON.parse(JSON.stringify(provenanceOf(inputs, facts))));

describe("a provenance", () => {
  const judge = (change: Partial<ParsedProvenance>) => compareProvenance({ ...provenance, ...change }, facts, flavours);

  test("of the image holds", () => {
    expect(judge({})).toEqual([]);
  });

  test.each<[Partial<ParsedProvenance>, string | RegExp]>([
    [{ revision: other }, `The provenance states the commit ${other}, but the image says ${commit}.`],
    [{ version: "1.2.4" }, "The provenance states the version 1.2.4, but the image says 1.2.3."],
    [{ variant: "gpu" }, "The provenance states the variant gpu, but the image says cpu."],
    [
      { bases: [] },
      /^The provenance states the base nothing, but the image says docker\.io\/library\/python:3\.11-slim@/,
    ],
    [
      { bases: [{ name: "docker.io/library/python:3.11-slim", digest: `sha256:${hex("7")}` }] },
      /states the base .*@sha256:777/,
    ],
    [
      { models: [] },
      `The provenance states that the model ${codeformer} is not there, but the image's proof found ${hex("e")}.`,
    ],
    [
      { models: [{ name: "codeformer", file: codeformer, url: "https://x", sha256: hex("7") }] },
      `The provenance states that the model ${codeformer} is ${hex("7")}, but the image's proof found ${hex("e")}.`,
    ],
    [
      { proof: { ...facts.record, portrait: "off" } },
      'The provenance states of the proof that portrait is "off", but the image\'s own record says "passed".',
    ],
    [{ proof: { ...facts.record, packages: { torch: "2.0.1+cpu" } } }, /of the proof that packages is/],
    [
      { proof: { ...facts.record, network: "silent" } },
      'The provenance states of the proof that network is "silent", but the image\'s own record says not there.',
    ],
  ])("that states otherwise is told in one sentence: %j", (change, sentence) => {
    const found = judge(change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });

  test("of an image with a torch of no variant does not hold", () => {
    const strange = { ...facts, record: { ...facts.record, torch: "2.0.1" } };
    expect(compareProvenance({ ...provenance, proof: strange.record }, strange, flavours)).toEqual([
      "The provenance states the variant cpu, but the image says nothing.",
    ]);
  });
});

describe("a provenance that contradicts itself", () => {
  // biome-ignore lint/suspicious/noExplicitAny: a statement is altered here wherever it can be
  const judge = (change: (predicate: any) => unknown) => {
    const predicate = JSON.parse(JSON.stringify(provenanceOf(inputs, facts)));
    change(predicate);
    const parsed = parseProvenance(predicate);
    return compareStatement(predicate, provenanceOf(parsed, facts), parsed);
  };

  test("does not, as it is made, whatever the order of keys, and where it says less", () => {
    expect(judge(() => {})).toEqual([]);
    expect(
      judge((predicate) => {
        predicate.runDetails.byproducts = [];
        predicate.runDetails = Object.fromEntries(Object.entries(predicate.runDetails).reverse());
      }),
    ).toEqual([]);
  });

  test.each<[string, Parameters<typeof judge>[0], RegExp]>([
    [
      "another commit of the source",
      ({ buildDefinition }) => Object.assign(buildDefinition.resolvedDependencies[0].digest, { gitCommit: other }),
      /^The provenance states "9{40}" as buildDefinition\.resolvedDependencies\.0\.digest\.gitCommit, but .* must be "c{40}"\.$/,
    ],
    [
      "another outcome",
      ({ runDetails }) => Object.assign(runDetails.byproducts[0].digest, { sha256: hex("0") }),
      /as runDetails\.byproducts\.0\.digest\.sha256, but .* must be "b{64}"/,
    ],
    [
      "more than anybody knows",
      ({ runDetails }) => Object.assign(runDetails, { metadata: { finishedOn: "today" } }),
      /states {"finishedOn":"today"} as runDetails\.metadata, but .* must be not there/,
    ],
  ])("is told: %s", (_what, change, sentence) => {
    expect(judge(change)).toEqual([expect.stringMatching(sentence)]);
  });

  test("is not one that was copied to another repository with its image", () => {
    const predicate = JSON.parse(JSON.stringify(provenanceOf(inputs, facts)));
    const copied = { ...facts, repository: "mirror.example/facecraft" };
    expect(compareStatement(predicate, provenanceOf(provenance, copied), provenance)).toEqual([]);
  });

  test("is told: a source of another commit", () => {
    const source = `https://github.com/djok/facecraft.git#${other}`;
    const predicate = provenanceOf({ ...inputs, source }, facts);
    expect(compareStatement(predicate, predicate, { ...provenance, source })).toEqual([
      `The provenance states the commit ${commit}, but its source says ${other}.`,
    ]);
  });
});

describe("the outputs of a stack", () => {
  const judge = (claims: Claims) => compareClaims(claims, facts, flavours);
  const claims: Claims = {
    variant: "cpu",
    version: "1.2.3",
    revision: commit,
    models: facts.record.models,
    proof: { torch: "2.0.1+cpu", cuda: null, boot: "passed", portrait: "passed", network: null, gpu: null },
  };

  test("that are the image's hold, and so does what they leave out", () => {
    expect(judge(claims)).toEqual([]);
    expect(judge({})).toEqual([]);
    expect(judge({ proof: { torch: undefined, modelsOpened: undefined } })).toEqual([]);
  });

  test.each<[Claims, string | RegExp]>([
    [{ revision: other }, `The stack's outputs say the commit ${other}, but the image says ${commit}.`],
    [{ variant: "gpu" }, "The stack's outputs say the variant gpu, but the image says cpu."],
    [{ version: "2.0.0" }, "The stack's outputs say the version 2.0.0, but the image says 1.2.3."],
    [{ models: {} }, /outputs say that the model .* is not there/],
    [
      { proof: { torch: "2.0.1+cu118" } },
      /of the proof that torch is "2\.0\.1\+cu118", but the image's own record says "2\.0\.1\+cpu"/,
    ],
    [{ proof: { modelsOpened: [codeformer] } }, /of the proof that modelsOpened is \["\/app/],
    [
      { proof: { gpu: { name: "A10", capability: "8.6", driver: "535", provider: "CUDAExecutionProvider" } } },
      /that gpu is {"name":"A10".*record says null/,
    ],
  ])("that are others are told in one sentence: %j", (change, sentence) => {
    const found = judge({ ...claims, ...change });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });

  test("may list opened models in any order", () => {
    const record = { ...facts.record, modelsOpened: ["/a", "/b"] };
    expect(compareClaims({ proof: { modelsOpened: ["/b", "/a"] } }, { ...facts, record }, flavours)).toEqual([]);
  });
});

describe("what an image says that it has", () => {
  const { contents, record } = facts;
  const change = (changed: Partial<ImageFacts>) => compareContents({ ...facts, ...changed });

  test("is what its proof found", () => {
    expect(compareContents(facts)).toEqual([]);
    const { contents: _, ...older } = facts;
    expect(compareContents(older)).toEqual([]);
  });

  test("and is not is told", () => {
    expect(change({ platform: "linux/arm64", record: { ...record, architecture: "amd64" } })[0]).toMatch(
      /is for linux\/arm64, but its Python/,
    );
    expect(change({ record: { ...record, packages: { torch: "2.0.1+cpu" } } })).toEqual([
      "The image's list of contents says basicsr 1.4.2, but its proof found none.",
    ]);
    expect(change({ record: { ...record, models: { [codeformer]: hex("1") } } })[0]).toMatch(
      /contents says that the model .* but the image's proof found 111/,
    );
    expect(contents).toBeDefined();
  });
});

describe("an SBOM", () => {
  type Bom = {
    serialNumber: string;
    metadata: { timestamp: string; component: Record<string, unknown>; tools: unknown };
    components: Record<string, unknown>[];
  } & Record<string, unknown>;
  const made = (): Bom => JSON.parse(sbomOf(facts));
  const judge = (change: (bom: Bom) => unknown) => {
    const bom = made();
    change(bom);
    return compareSbom(bom, made());
  };
  const of = (bom: Bom, name: string) => bom.components.find((component) => component.name === name) ?? {};

  test("of the image holds, whatever the order, and whatever made it", () => {
    expect(judge(() => {})).toEqual([]);
    expect(
      judge((bom) => {
        bom.components.reverse();
        bom.metadata.tools = undefined;
        bom.specVersion = "1.7";
      }),
    ).toEqual([]);
  });

  test.each<[string, (bom: Bom) => unknown, string | RegExp]>([
    [
      "a component more",
      (bom) => bom.components.push({ type: "library", name: "evil", version: "1" }),
      "The SBOM lists library evil 1, which the image does not have.",
    ],
    [
      "a component less",
      (bom) => bom.components.splice(bom.components.indexOf(of(bom, "libc6")), 1),
      /does not list library libc6 2\.36/,
    ],
    [
      "a component twice",
      (bom) => bom.components.push(of(bom, "libc6")),
      /lists library libc6 \S+ 2 times, but the image has it 1 times/,
    ],
    [
      "another hash",
      (bom) => Object.assign(of(bom, "CodeFormer"), { hashes: [{ alg: "SHA-256", content: hex("0") }] }),
      /^The SBOM's hashes of machine-learning-model CodeFormer is .*000/,
    ],
    [
      "another purl",
      (bom) => Object.assign(of(bom, "torch"), { purl: "pkg:pypi/torch@2.0.2" }),
      /purl of library torch/,
    ],
    [
      "another URL",
      (bom) => Object.assign(of(bom, "CodeFormer"), { externalReferences: [] }),
      /externalReferences of machine-learning-model CodeFormer/,
    ],
    [
      "no size",
      (bom) => Object.assign(of(bom, "CodeFormer"), { properties: undefined }),
      /properties of machine-learning-model CodeFormer is not there/,
    ],
    [
      "a licence that nobody stated",
      (bom) => Object.assign(of(bom, "torch"), { licenses: [{ license: { id: "MIT" } }] }),
      /licenses of library torch/,
    ],
    ["another image", (bom) => Object.assign(bom.metadata.component, { hashes: [] }), /hashes of container facecraft/],
    [
      "another time",
      (bom) => Object.assign(bom.metadata, { timestamp: "2020-01-01T00:00:00Z" }),
      /^The SBOM's time is/,
    ],
    [
      "another serial number",
      (bom) => Object.assign(bom, { serialNumber: "urn:uuid:0" }),
      /^The SBOM's serialNumber is "urn:uuid:0"/,
    ],
    ["other dependencies", (bom) => Object.assign(bom, { dependencies: [] }), /^The SBOM's dependencies is \[\]/],
  ])("with %s is told in one sentence", (_what, change, sentence) => {
    const found = judge(change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });

  test("with any single byte of a component changed does not hold", () => {
    const text = sbomOf(facts);
    const [from, to] = [text.lastIndexOf('"components": ['), text.indexOf('"dependencies"')];
    const expected = made();
    let altered = 0;
    for (let at = from; at < to; at++) {
      if (!/[a-z0-9]/.test(text[at] as string)) {
        continue;
      }
      let bom: unknown;
      try {
        bom = JSON.parse(`${text.slice(0, at)}${text[at] === "z" ? "y" : "z"}${text.slice(at + 1)}`);
      } catch {
        continue;
      }
      altered++;
      expect(compareSbom(bom, expected), text.slice(at - 40, at + 40)).not.toEqual([]);
    }
    expect(altered).toBeGreaterThan(1000);
  });

  test.each([null, "text", 5, {}, { components: "none" }, { components: [null] }])("that is none: %j", (sbom) => {
    expect(compareSbom(sbom, made())).toEqual(["The SBOM is no CycloneDX document with a list of components."]);
  });
});
