import { describe, expect, test } from "vitest";
import type { Examined } from "../../attest/verify.ts";
import { knownLines, knownOf } from "../../reports/verified.ts";
import { commit, facts, hex, inputs } from "../attest/made.ts";

const trust = { key: "cosign.pub" };
const examined: Examined = {
  facts,
  contents: [],
  signature: [],
  provenance: [],
  sbom: [],
  stated: { ...inputs, proof: facts.record },
};
const lines = (change: Partial<Examined>, whose: typeof trust | undefined = trust) =>
  knownLines(knownOf({ ...examined, ...change }, whose), facts.measured);

describe("what is known of an image", () => {
  test("is what it is, whose it is, what is in it, and that all of it holds", () => {
    const known = knownOf(examined, trust);
    expect(known).toMatchObject({ variant: "cpu", commit, torch: "2.0.1+cpu", cuda: null, faults: [], holds: true });
    expect(known.signature).toEqual({ state: "holds", by: "the key cosign.pub", faults: [] });
    expect(known.provenance).toMatchObject({ state: "holds", builder: "gpu builder", program: { version: "1.0.0" } });
    expect(JSON.parse(JSON.stringify(known))).toEqual(known);
    expect(lines({})).toEqual(
      expect.arrayContaining([
        `Image:                     localhost:5000/djok/facecraft@sha256:${hex("a")}`,
        "What it is:                version 1.2.3, cpu, linux/amd64, of 2023-11-14T22:13:20Z",
        `Application:               commit ${commit} of https://github.com/djok/facecraft`,
        "Signature:                 holds, signed by the key cosign.pub",
        "SBOM:                      holds, signed by the key cosign.pub",
        "Packages:                  2 of Python, 4 of Debian",
        expect.stringMatching(
          /^Model CodeFormer: +\/app\/models\/codeformer\/codeformer\.pth, sha256 eee.*, from https:/,
        ),
      ]),
    );
    expect(lines({}).join("\n")).not.toContain("Does not hold");
  });

  test.each<[string, Partial<Examined>]>([
    ["signature", { signature: ["It is not signed."] }],
    ["provenance", { provenance: ["It is not signed."] }],
    ["SBOM", { sbom: ["It is not signed."] }],
    ["contents", { contents: ["It is not signed."] }],
  ])("is not that all of it holds, when one does not: %s", (_what, change) => {
    expect(knownOf({ ...examined, ...change }, trust).holds).toBe(false);
    expect(lines(change).filter((line) => line.startsWith("Does not hold: It is not signed."))).toHaveLength(1);
  });

  test("without a key is what is attached, and that nobody has checked it", () => {
    const unchecked = { signature: undefined, provenance: undefined, sbom: undefined, attached: ["signature"] };
    const known = knownOf({ ...examined, ...unchecked }, undefined);
    expect(known.signature).toEqual({ state: "unchecked", attached: true, faults: [] });
    expect(known.sbom).toEqual({ state: "unchecked", attached: false, faults: [] });
    expect(known.holds).toBe(true);
  });

  test("of an image of an earlier version leaves out what that does not say", () => {
    const { contents: _, ...older } = facts;
    const known = knownOf({ ...examined, facts: older }, trust);
    expect(known.packages).toEqual({ python: 2, debian: null });
    expect(known.models).toEqual([{ file: "/app/models/codeformer/codeformer.pth", sha256: hex("e") }]);
  });
});
