import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { facts as madeUp } from "../attest/made.ts";
import { outputs } from "../deploy/outputs.ts";
import { type Result, run } from "../run.ts";
import { SignedImages } from "./signedImages.ts";

let images: SignedImages;
beforeAll(async () => {
  images = await SignedImages.make();
});
afterAll(() => images?.remove());

const other = "9".repeat(40);
const unsigned = / has no signature by the key .*own\.pub\./;
const foreign = / was not signed by .*own\.pub,.* or was changed since\./;

/** `make verify`, without what brings up the tools. */
function verify(image: string, environment: Record<string, string> = { KEY: images.key("own") }): Promise<Result> {
  return run(["node", "scripts/verify.ts", image], root, { ...images.env, ...environment });
}

describe("make verify", () => {
  test("says what a signed image is, and that all that is claimed of it holds", async () => {
    const image = await images.release();
    const text = await verify(image);
    expect(text).toSucceed();
    expect(text.text).toContain(`holds, signed by the key ${images.key("own")}`);
    expect(text.text).toContain("version 1.2.3, cpu, linux/amd64");
    const data = await verify(image, { KEY: images.key("own"), JSON: "1" });
    const known = JSON.parse(data.text);
    expect(known).toMatchObject({
      ...{ image: image.replace(/:[^:/@]+@/, "@"), version: "1.2.3", variant: "cpu", torch: "2.0.1+cpu", cuda: null },
      ...{ commit: "c".repeat(40), packages: { python: 2, debian: 4 }, faults: [], holds: true },
      ...{ signature: { state: "holds", faults: [] }, provenance: { state: "holds" }, sbom: { state: "holds" } },
    });
    expect(known.models).toEqual([expect.objectContaining({ title: "CodeFormer", sizeBytes: 376_637_898 })]);
  });

  test("does not say whether a signature holds that nobody has named", async () => {
    const image = await images.push();
    const unknown = await verify(image, {});
    expect(unknown).toSucceed();
    expect(unknown.text).toMatch(/^Signature: +none$/m);
    await images.sign(image);
    expect((await verify(image, {})).text).toMatch(/^Signature: +there is one, which was not checked/m);
    const half = await verify(image, { IDENTITY: "somebody" });
    expect(half.text).toContain("Give KEY=cosign.pub, or both IDENTITY=... and ISSUER=...");
    const keyless = await verify(image, { KEY: "none.pub" });
    expect(keyless.text).toBe("There is no key at none.pub.\n");
    expect([half.code, keyless.code]).toEqual([1, 1]);
  });

  /** What is wrong with an image, a sentence each, by what it is wrong with. */
  async function faultsOf(image: string): Promise<Record<"signature" | "provenance" | "sbom", string[]>> {
    const { code, text } = await verify(image, { KEY: images.key("own"), JSON: "1" });
    expect(code, text).toBe(1);
    const { signature, provenance, sbom, holds } = JSON.parse(text);
    expect(holds).toBe(false);
    return { signature: signature.faults, provenance: provenance.faults, sbom: sbom.faults };
  }

  test("finds that nothing is signed", async () => {
    const { signature, provenance, sbom } = await faultsOf(await images.push());
    expect(signature.join()).toMatch(unsigned);
    expect(provenance.join()).toMatch(/ has no provenance by the key/);
    expect(sbom.join()).toMatch(/ has no SBOM by the key/);
  });

  test("finds that another key has signed", async () => {
    const image = await images.push();
    await images.sign(image, "other");
    const { signature, provenance, sbom } = await faultsOf(image);
    for (const faults of [signature, provenance, sbom]) {
      expect(faults).toEqual([expect.stringMatching(foreign)]);
    }
  });

  test("finds that the signature was removed, though the attestations are there", async () => {
    const image = await images.release();
    await images.detach(image, "signature", true);
    const { signature, provenance, sbom } = await faultsOf(image);
    expect(signature).toEqual([expect.stringMatching(unsigned)]);
    expect([...provenance, ...sbom]).toEqual([]);
  });

  test("finds that the provenance is another image's", async () => {
    const [image, another] = [await images.release(), await images.release()];
    await images.detach(image, "slsaprovenance1");
    await images.copyAttached("slsaprovenance1", another, image);
    const { signature, provenance, sbom } = await faultsOf(image);
    expect(provenance).toEqual([expect.stringMatching(/was signed for another image, or/)]);
    expect([...signature, ...sbom]).toEqual([]);
  });

  test("finds a provenance with another commit, beside the right one, too", async () => {
    const image = await images.release();
    const facts = await images.facts(image);
    const source = `https://github.com/djok/facecraft.git#${other}`;
    await images.attest(image, "slsaprovenance1", images.provenance(facts, { revision: other, source }));
    const { signature, provenance, sbom } = await faultsOf(image);
    expect(provenance).toEqual([`The provenance states the commit ${other}, but the image says ${"c".repeat(40)}.`]);
    expect([...signature, ...sbom]).toEqual([]);
  });

  test("leaves aside what strangers have attested", async () => {
    const image = await images.release();
    const facts = await images.facts(image);
    await images.attest(image, "slsaprovenance1", images.provenance(facts, { revision: other }), "other");
    expect(await verify(image)).toSucceed();
  });

  test("finds an SBOM that was altered by one byte in the registry", async () => {
    const image = await images.release();
    await images.alter(image, "cyclonedx", '"basicsr"', '"basicsx"');
    const { signature, provenance, sbom } = await faultsOf(image);
    expect(sbom).toEqual([expect.stringMatching(foreign)]);
    expect([...signature, ...provenance]).toEqual([]);
  });

  test("finds an SBOM that was altered by one byte before it was signed", async () => {
    const image = await images.push();
    await images.sign(image);
    await images.detach(image, "cyclonedx");
    const { sbomOf } = await import("../../attest/sbom.ts");
    const sbom = JSON.parse(
      sbomOf(await images.facts(image)).replace('"purl": "pkg:pypi/torch@2.0.1', '"purl": "pkg:pypi/torch@2.0.2'),
    );
    await images.attest(image, "cyclonedx", sbom);
    expect((await faultsOf(image)).sbom.join()).toContain("purl of library torch");
  });

  test("finds that a tag names another image than the one that was signed", async () => {
    const image = await images.release();
    const tagged = image.replace(/@.*/, "");
    expect(await verify(tagged)).toSucceed();
    const pushed = await images.push(tagged.slice(tagged.lastIndexOf(":") + 1));
    expect(pushed.replace(/@.*/, "")).toBe(tagged);
    expect((await faultsOf(tagged)).signature.join()).toMatch(unsigned);
    expect(await verify(image)).toSucceed();
  });
});

/** An image stack of another project, with the documented outputs of an image. */
async function imageStack(name: string, imageRef: string, change: object = {}): Promise<void> {
  const { labels, record } = madeUp;
  const file = "/app/models/codeformer/codeformer.pth";
  const model = { file, url: "https://example.org/codeformer.pth", sha256: record.models[file] ?? "", sizeBytes: 1 };
  const release = outputs({
    ...{ imageRef, digest: imageRef.slice(imageRef.indexOf("@") + 1), tags: [imageRef.replace(/@.*/, "")], labels },
    ...{ version: "1.2.3", revision: "c".repeat(40), models: { codeformer: model } },
    proof: { torch: "2.0.1+cpu", cuda: null, onnxruntime: "1.18.1", boot: "passed", portrait: "passed", gpu: null },
    ...change,
  });
  const lines = Object.entries(release).map(([key, value]) => `export const ${key} = ${JSON.stringify(value)};`);
  await program("elsewhere", name, `import "@pulumi/pulumi";\n${lines.join("\n")}\n`);
  await pulumi("elsewhere", name, "up", "--yes", "--skip-preview");
}

/** A deploy stack of somebody else, that runs nothing. */
async function deployStack(name: string, imageRef = "", required: string[] = []): Promise<void> {
  const args = [`organization/elsewhere/${name}`, imageRef, required, { verify: { key: images.key("own") } }];
  const text = `import { FacecraftRelease } from ${JSON.stringify(join(root, "deploy/facecraftRelease.ts"))};
const release = FacecraftRelease.fromStack(${args.map((arg) => JSON.stringify(arg)).join(", ")});
export const { imageRef, proof } = release;
export const revision = release.outputs.apply((known) => known.revision);
`;
  await program("runs", name, text);
}

async function program(project: string, name: string, text: string): Promise<void> {
  const folder = join(images.folder, project, name);
  mkdirSync(folder, { recursive: true });
  const description = `name: ${project}\nmain: index.ts\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n`;
  writeFileSync(join(folder, "Pulumi.yaml"), description);
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "index.ts"), text);
  try {
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  } catch {
    // It is there from the text before.
  }
  await output("pulumi", ["stack", "select", "--create", name], { cwd: folder, env: images.env });
}

function pulumi(project: string, name: string, command: string, ...more: string[]): Promise<Result> {
  const args = [command, "--stack", name, "--non-interactive", "--suppress-progress", ...more];
  return run(["pulumi", ...args], join(images.folder, project, name), images.env);
}

describe("a foreign deploy stack", () => {
  test("takes over what is signed, refuses what is not in one sentence, and keeps what it has then", async () => {
    const [signed, next] = [await images.release(), await images.push()];
    await imageStack("next", signed);
    await deployStack("next");
    const up = await pulumi("runs", "next", "up", "--yes", "--skip-preview");
    expect(up).toSucceed();
    expect(up.text).toContain(signed);
    await imageStack("next", next);
    const refused = await pulumi("runs", "next", "up", "--yes", "--skip-preview");
    expect(refused.code).not.toBe(0);
    expect(refused.text).toMatch(/cannot be deployed: .* has no signature by the key/);
    expect(refused.text).not.toMatch(/^\s+at .*:\d+:\d+/m);
    const cwd = join(images.folder, "runs/next");
    expect((await output("pulumi", ["stack", "output", "imageRef"], { cwd, env: images.env })).trim()).toBe(signed);
  });

  test("that is the project of deploy/compose verifies by its config, before it asks for Docker", async () => {
    const image = await images.release();
    await imageStack("config", image);
    const compose = JSON.stringify(join(root, "deploy/compose/index.ts"));
    await program("facecraft-deploy", "config", `export * from ${compose};\n`);
    const config = join(images.folder, "config.yaml");
    const preview = (key: string) => {
      const from = "organization/elsewhere/config";
      writeFileSync(
        config,
        JSON.stringify({ config: { "facecraft-deploy:from": from, "facecraft-deploy:verify": { key } } }),
      );
      return pulumi("facecraft-deploy", "config", "preview", "--config-file", config);
    };
    const good = await preview(images.key("own"));
    expect(good).toSucceed();
    expect(good.text).toContain(image);
    const refused = await preview(images.key("other"));
    expect(refused.text).toMatch(/cannot be deployed: .* by the key .*other\.pub|was not signed by .*other\.pub/);
    expect(refused.code).not.toBe(0);
  });

  test("refuses outputs that are not what was signed", async () => {
    await imageStack("lies", await images.release(), { revision: other });
    await deployStack("lies");
    const refused = await pulumi("runs", "lies", "preview");
    expect(refused.text).toContain(
      `cannot be deployed: The stack's outputs say the commit ${other}, but the image says ${"c".repeat(40)}.`,
    );
    expect(refused.code).not.toBe(0);
  });

  test("goes back to a release that is only named, and knows from its signed record what was proven of it", async () => {
    const [now, before, next] = [await images.release(), await images.release(), await images.push()];
    await imageStack("back", now);
    await deployStack("back", before, ["portrait"]);
    const back = await pulumi("runs", "back", "preview");
    expect(back).toSucceed();
    expect(back.text).toContain(before);
    expect(back.text).toContain("c".repeat(40));
    await deployStack("back", next);
    const refused = await pulumi("runs", "back", "preview");
    expect(refused.text).toMatch(/cannot be deployed: .* has no signature by the key/);
    expect(refused.code).not.toBe(0);
  });
});
