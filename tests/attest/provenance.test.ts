import { describe, expect, test } from "vitest";
import { AttestError } from "../../attest/errors.ts";
import { parseProvenance, provenanceOf } from "../../attest/provenance.ts";
import { commit, facts, hex, inputs } from "./made.ts";

const predicate = () => JSON.parse(JSON.stringify(provenanceOf(inputs, facts)));

describe("the provenance", () => {
  test("says all that it was told, and is the same for the same image", () => {
    const { proof, ...rest } = parseProvenance(predicate());
    expect(rest).toEqual(inputs);
    expect(proof).toEqual(facts.record);
    const turned = { ...inputs, buildArgs: Object.fromEntries(Object.entries(inputs.buildArgs).reverse()) };
    expect(JSON.stringify(provenanceOf(turned, facts))).toBe(JSON.stringify(predicate()));
  });

  test("has the shape that SLSA gives it", () => {
    const { buildDefinition, runDetails } = predicate();
    expect(Object.keys(buildDefinition)).toEqual([
      "buildType",
      "externalParameters",
      "internalParameters",
      "resolvedDependencies",
    ]);
    expect(buildDefinition.resolvedDependencies).toContainEqual({
      name: "app",
      uri: inputs.source,
      digest: { gitCommit: commit },
      annotations: { kind: "source" },
    });
    expect(buildDefinition.resolvedDependencies).toContainEqual({
      name: "docker.io/library/python:3.11-slim",
      uri: `pkg:oci/python@sha256:${hex("d")}?repository_url=docker.io%2Flibrary%2Fpython&tag=3.11-slim`,
      digest: { sha256: hex("d") },
      annotations: { kind: "base" },
    });
    expect(runDetails.builder).toEqual({ id: "buildx:gpu%20builder", version: { "facecraft-images": "1.0.0" } });
    expect(runDetails.byproducts).toEqual([
      expect.objectContaining({ name: "image manifest", digest: { sha256: hex("b") } }),
    ]);
  });

  test("names no commit where the application has none", () => {
    const folder = provenanceOf({ ...inputs, source: ".", revision: "unversioned-0123456789ab" }, facts);
    expect(folder.buildDefinition.resolvedDependencies[0]).toEqual({ name: "app", annotations: { kind: "source" } });
    expect(parseProvenance(folder)).toMatchObject({ source: ".", revision: "unversioned-0123456789ab" });
  });
});

describe("what is no provenance of this project", () => {
  const cases: [what: string, change: (predicate: ReturnType<typeof provenanceOf>) => unknown, sentence: RegExp][] = [
    ["nothing", () => undefined, /^The provenance is none of this project: the whole: /],
    [
      "of another build type",
      (it) => Object.assign(it.buildDefinition, { buildType: "x" }) && it,
      /buildDefinition\.buildType: /,
    ],
    [
      "without a variant",
      (it) => Object.assign(it.buildDefinition.externalParameters, { variant: 1 }) && it,
      /buildDefinition\.externalParameters\.variant: /,
    ],
    [
      "with a base that has no digest",
      (it) => {
        it.buildDefinition.resolvedDependencies.push({
          name: "b",
          digest: { sha256: "x" },
          annotations: { kind: "base" },
        });
        return it;
      },
      /buildDefinition\.resolvedDependencies\.6\.digest\.sha256: is no sha256\.$/,
    ],
    [
      "with no Dockerfile",
      (it) => {
        it.buildDefinition.resolvedDependencies = [];
        return it;
      },
      /^The provenance names no dockerfile among its dependencies; it must be one\.$/,
    ],
    [
      "with two programs",
      (it) => {
        it.buildDefinition.resolvedDependencies.push({ annotations: { kind: "program", version: "1", commit: "2" } });
        return it;
      },
      /^The provenance names more than one program /,
    ],
  ];

  test.each(cases)("is refused: %s", (_, change, sentence) => {
    const parse = () => parseProvenance(change(predicate()));
    expect(parse).toThrow(AttestError);
    expect(parse).toThrow(sentence);
  });
});
