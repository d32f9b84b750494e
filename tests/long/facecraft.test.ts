// The application that this project is for, at the commit that the shipped stacks build. Its repository is no part of this one:
// a bundle of it, beside the project, stands for it where there is one.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { Clone } from "../engine/harness.ts";

const bundle = join(root, "../shared/facecraft/facecraft.bundle");
const commit = "798d212193585a6493346d6c42ef6ae1db2ceb3d";
// dlib compiles, once for each builder.
const minutes = (count: number) => count * 60_000;

describe.skipIf(!existsSync(bundle))("Facecraft 1.0", () => {
  let clone: Clone;

  beforeAll(async () => {
    clone = await Clone.make();
    const checkout = join(clone.state, "..", "facecraft");
    await output("git", ["clone", "--quiet", bundle, checkout]);
    await output("git", ["-C", checkout, "checkout", "--quiet", commit]);
  });
  afterAll(() => clone?.remove());

  /** Its models are stand-ins here, whose md5 rembg would compare with that of the real ones. */
  function configure(...lines: string[]): void {
    const own = [
      `source: ${join(clone.state, "..", "facecraft")}`,
      'proofEnvironment: { MODEL_CHECKSUM_DISABLED: "1" }',
    ];
    const more = [...own.slice(1), ...lines].map((line) => `  facecraft:${line}\n`).join("");
    clone.writeConfig((text) => text.replace(/source: .*\n/, `${own[0]}\n${more}`));
  }

  test("is not released with a model that it never opens, and its log says why it does not", {
    timeout: minutes(40),
  }, async () => {
    configure();
    const { code, text } = await clone.up();
    expect(text).toContain("never opened CodeFormer (/app/models/codeformer/codeformer.pth");
    expect(text).toContain("Could not initialize CodeFormer");
    expect(text).toContain("facecraft:unusedModels");
    expect(code).not.toBe(0);
    expect(await clone.tags()).toEqual([]);
  });

  test("is released once that is said, and its portrait is what it makes of one", {
    timeout: minutes(10),
  }, async () => {
    configure("unusedModels: [codeformer]");
    expect(await clone.up()).toSucceed();
    const { proof, revision } = await clone.outputs();
    expect(revision).toBe(commit);
    expect(proof).toMatchObject({
      torch: "2.0.1+cpu",
      boot: "passed",
      portrait: "passed",
      modelsOpened: ["shapePredictor", "u2net"],
      network: "silent",
    });
    expect(proof.readySeconds).toBeGreaterThan(0);
    expect(proof.peakMemoryBytes).toBeGreaterThan(100e6);
  });

  test("is not released when a model is said to be unused that it opens", { timeout: minutes(10) }, async () => {
    const before = await clone.tags();
    configure("unusedModels: [codeformer, u2net]");
    const { code, text } = await clone.up();
    expect(text).toMatch(/u2net human seg \(\/home\/appuser\/\.u2net\/u2net_human_seg\.onnx\) is listed/);
    expect(code).not.toBe(0);
    expect(await clone.tags()).toEqual(before);
  });
});
