import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { wheelsAddress } from "../../local/wheels.ts";
import { rules } from "../../policy/rules.ts";
import type { Report } from "../../reports/preview/shape.ts";
import { type Result, run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

process.env.PULUMI_DEBUG_COMMANDS = "true"; // the engine's --event-log

let clone: Clone;
let released: Outputs;

beforeAll(async () => {
  clone = await Clone.make();
  expect(await clone.up("--policy-pack", join(clone.folder, "policy/index.ts"))).toSucceed();
  released = await clone.outputs();
});
afterAll(() => clone?.remove());

interface Preview extends Result {
  report: Report;
  markdown: string;
}

/** What the workflow does on a pull request: preview under the policy, then the report. */
async function preview(): Promise<Preview> {
  const folder = join(clone.state, "..", "report");
  const log = join(clone.state, "..", "events.json");
  const previewed = await clone.pulumi(
    "preview",
    "--refresh",
    "--event-log",
    log,
    "--policy-pack",
    join(clone.folder, "policy/index.ts"),
  );
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(paths.tls, "ca.pem") };
  const reported = await run(
    ["node", "scripts/preview-report.ts", "local", log, folder, String(previewed.code)],
    clone.folder,
    env,
  );
  return {
    code: previewed.code || reported.code,
    text: previewed.text + reported.text,
    report: JSON.parse(readFileSync(join(folder, "local.json"), "utf8")),
    markdown: readFileSync(join(folder, "local.md"), "utf8"),
  };
}

describe("a pull request that", () => {
  test("changes the documentation only is told so in one line", async () => {
    clone.edit("README.md", (text) => `${text}\nOne more line.\n`);
    await clone.commit("Change the documentation");
    const { code, text, report, markdown } = await preview();

    expect({ code, text }).toSucceed();
    expect(report).toMatchObject({ result: "unchanged", summary: `No change: ${released.imageRef} stays.`, tags: [] });
    expect(report.policy).toMatchObject({
      violations: [],
      appliedBy: expect.stringContaining("policy pack facecraft"),
    });
    expect(markdown).toContain(
      `All ${rules.length} rules hold. Looked at: \`facecraft-proof\`, \`facecraft-release\`; applied by the engine`,
    );
    expect(report.last.answers.map(({ standing }) => standing)).toEqual(["as left", "as left", "as left"]);
    expect(report.models.map(({ upstream }) => upstream)).toEqual(["as pinned", "as pinned", "as pinned"]);
  });

  test("changes the application sees the revision, the tags and the size of the last release", async () => {
    clone.edit("app/src/facecraft/main.py", (text) => `${text}\n# One more line.\n`);
    const revision = await clone.commit("Change the application");
    const { code, text, report, markdown } = await preview();

    expect({ code, text }).toSucceed();
    expect(report.changes[0]).toEqual({ what: "source revision", from: released.revision, to: revision });
    expect(report.tags).toEqual([
      `${clone.repository}:cpu`,
      `${clone.repository}:1.0.0-cpu-<suffix chosen by the update>`,
    ]);
    expect(report.last).toMatchObject({ imageRef: released.imageRef, compressedBytes: expect.any(Number) });
    expect(report.last.compressedBytes).toBeGreaterThan(50e6);
    expect(report.policy.undecided).toEqual(["no-latest-tag", "immutable-tag", "allowed-registries"]);
    expect(markdown).toContain(`| source revision | \`${released.revision}\` | \`${revision}\` |`);
    expect(await clone.tags()).toHaveLength(2);
  });

  test("changes a model and its pin sees both pins", async () => {
    const file = join(clone.artifacts, "u2net_human_seg-graph.onnx");
    const original = readFileSync(file);
    // Another description of the model (field 6): what it computes is the same, and the image is proven with it.
    const other = Buffer.concat([original, Buffer.from([0x32, 16]), Buffer.from(randomBytes(8).toString("hex"))]);
    writeFileSync(file, other);
    const before = released.models.u2net?.sha256 as string;
    const after = createHash("sha256").update(other).digest("hex");
    clone.writeConfig((text) => text.replace(before, after));
    const { code, text, report, markdown } = await preview();

    expect({ code, text }).toSucceed();
    expect(report.changes).toContainEqual({ what: "pin of u2net human seg", from: before, to: after });
    expect(report.models.find(({ name }) => name === "u2net")).toMatchObject({
      before,
      sha256: after,
      state: "changed",
    });
    expect(markdown).toContain(`\`${before.slice(0, 12)}…\` → \`${after.slice(0, 12)}…\``);
    writeFileSync(file, original);
  });

  test("changes a script of the Dockerfiles sees that", async () => {
    const file = "docker/scripts/boot.py";
    const before = readFileSync(join(clone.folder, file), "utf8");
    clone.edit(file, (text) => `${text}\n# One more line.\n`);
    const { code, text, report } = await preview();
    writeFileSync(join(clone.folder, file), before);

    expect({ code, text }).toSucceed();
    expect(report.changes).toContainEqual({
      what: "scripts of the Dockerfiles",
      from: expect.stringMatching(/^\.facecraft\/scripts\/[0-9a-f]{16}$/),
      to: expect.stringMatching(/^\.facecraft\/scripts\/[0-9a-f]{16}$/),
    });
  });

  test("has one wrong digit in a pin is red, with both hashes", async () => {
    const pin = released.models.u2net?.sha256 as string;
    const wrong = pin.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    clone.writeConfig((text) => text.replace(pin, wrong));
    const { code, report, markdown } = await preview();
    clone.writeConfig();

    expect(code).not.toBe(0);
    expect(report.summary).toBe("This cannot be released: facecraft-proof failed.");
    expect(markdown).toContain("🔴");
    expect(report.problems[0]?.message + (report.problems[0]?.log.join() ?? "")).toContain(wrong);
    expect(report.problems[0]?.message + (report.problems[0]?.log.join() ?? "")).toContain(pin);
  });

  test("breaks the Dockerfile is red, with the command that failed", async () => {
    const file = "docker/Dockerfile.cpu";
    const before = readFileSync(join(clone.folder, file), "utf8");
    clone.edit(file, (text) => text.replace(/^WORKDIR \/app$/m, "RUN echo 'a sentence from the step' && exit 3\n$&"));
    const { code, report } = await preview();
    writeFileSync(join(clone.folder, file), before);

    expect(code).not.toBe(0);
    expect(report.result).toBe("failed");
    expect(report.problems[0]?.resource).toBe("facecraft-proof");
    // The step's own words follow where the provider passes them on in time.
    expect(report.problems[0]?.message).toMatch(/echo 'a sentence from the step'.*exit code: 3/);
  });

  test("mixes up the torch index is red, by the proof and by the policy", async () => {
    clone.writeConfig((text) => text.replace("/whl/cpu", "/whl/cu118"));
    const { code, report } = await preview();
    clone.writeConfig();

    expect(code).not.toBe(0);
    expect(report.changes.find(({ what }) => what === "torch index")).toMatchObject({
      to: expect.stringMatching(/\/whl\/cu118$/),
    });
    expect(new Set(report.policy.violations.map(({ rule }) => rule))).toEqual(new Set(["torch-index"]));
    expect(report.problems.map(({ resource }) => resource)).toContain("facecraft-proof");
    expect(report.summary).toContain("it breaks torch-index");
    expect(await clone.tags()).toHaveLength(2);
  });
});

describe("a preview", () => {
  test("of a base without a digest is red, in our own sentence", async () => {
    clone.writeConfig((text) => text.replace(/(python: \S+)@sha256:\w+/, "$1"));
    const { code, report, text } = await preview();
    clone.writeConfig();
    const sentence = /facecraft:baseImages\.python is "\S+"; it must be an image reference with a digest/;

    expect(code).not.toBe(0);
    expect(report.problems.map(({ message }) => message)).toContainEqual(expect.stringMatching(sentence));
    expect(text).toMatch(sentence);
  });

  test("that fails before any image is looked at says that no rule was applied", async () => {
    clone.writeConfig((text) => `${text}\n  facecraft:varaint: cpu\n`);
    const { code, report, markdown } = await preview();
    clone.writeConfig();

    expect(code).not.toBe(0);
    expect(report).toMatchObject({ result: "failed", summary: "This cannot be released: the program failed." });
    expect(report.problems[0]?.message).toMatch(/facecraft:varaint is not a config key/);
    expect(markdown).toContain(`No image was looked at: 0 of ${rules.length} rules were applied.`);
  });

  test("with a torch index that is secret calls it a secret, and of no other variant", async () => {
    const index = `${wheelsAddress(clone.ports)}/whl/cpu`;
    const args = ["config", "set", "--secret", "facecraft:torchIndexUrl", index, "--stack", clone.stack];
    await run(["pulumi", ...args, "--config-file", clone.configFile], clone.folder, clone.environment);
    const { report } = await preview();
    clone.writeConfig();

    expect(new Set(report.policy.violations.map(({ rule }) => rule))).toEqual(new Set(["no-secrets"]));
    expect(report.policy.undecided).toContain("torch-index");
    expect(JSON.stringify(report.problems)).not.toContain("another variant");
  });

  test("after somebody moved both tags says so in its first sentences, and what the next update does", async () => {
    const immutable = released.tags[1]?.split(":").at(-1) ?? "";
    const others = [await clone.moveTag("cpu"), await clone.moveTag(immutable, "somebody else's, too")];
    const { code, text, report, markdown } = await preview();

    expect({ code, text }).toSucceed();
    expect(report.result).toBe("changed");
    expect(report.summary).toContain(
      `${clone.repository}:cpu names ${others[0]}, but the release is ${released.digest}`,
    );
    expect(report.summary).toContain(`:${immutable} names ${others[1]}`);
    expect(markdown).toContain("### Registry");
    await clone.up();
  });

  test("of a model that upstream removed says so in the headline and in the table", async () => {
    const file = join(clone.artifacts, "codeformer.pth");
    const bytes = readFileSync(file);
    rmSync(file);
    const { report } = await preview();
    writeFileSync(file, bytes);

    expect(report.summary).toContain(
      "Upstream no longer serves CodeFormer as pinned: an update fails while that is so.",
    );
    expect(report.models.find(({ name }) => name === "codeformer")).toMatchObject({ upstream: "drifted" });
  });

  test("of a model whose upstream does not answer says that this is not known", async () => {
    await clone.serveModels(false);
    const { report } = await preview();
    await clone.serveModels(true);
    expect(report.models.map(({ upstream }) => upstream)).toEqual(["not known", "not known", "not known"]);
  });

  test("of a release whose image is gone does not say that it stays", async () => {
    const { digest } = await clone.outputs();
    await clone.registry("DELETE", `manifests/${digest}`);
    const { report } = await preview();
    await clone.up();

    expect(report.result).toBe("changed");
    expect(report.summary).toContain("in place of the last release, which is gone from the registry");
    expect(report.summary).not.toContain("stays");
  });

  test("that is killed leaves no report of an earlier one in its place", async () => {
    const script = "import('./local/previewReport.ts').then((m) => m.beginReport('local'))";
    await run(["node", "-e", script], clone.folder, clone.environment);
    const file = join(clone.folder, ".facecraft/preview/local.md");
    expect(readFileSync(file, "utf8")).toContain("This preview did not finish");
  });
});

test("a preview without a backend, an account or secrets compares with what the registry has", async () => {
  copyFileSync(clone.configFile, join(clone.folder, "Pulumi.cpu.yaml"));
  clone.edit("Pulumi.cpu.yaml", (text) => `${text}  facecraft:registryAuth:\n    password:\n      secure: v1:none\n`);
  const { PULUMI_BACKEND_URL: _, ...env } = await localEnvironment(join(clone.state, "..", "unused"));
  const script =
    "import('./local/previewReport.ts').then(async (m) => { process.exitCode = await m.previewWithoutBackend('cpu', process.env); })";
  const previewed = await run(["node", "-e", script], clone.folder, {
    ...env,
    FACECRAFT_CACHE: join(clone.state, "..", "cache"),
  });
  const read = (name: string) => readFileSync(join(clone.folder, ".facecraft/preview", name), "utf8");

  expect(previewed).toSucceed();
  expect(previewed.text).toContain("would publish the first release of this stack");
  expect(JSON.parse(read("cpu.json")).last.published).toEqual({
    ...{ reference: `${clone.repository}:cpu`, version: "1.0.0", revision: (await clone.outputs()).revision },
  });
  expect(read("cpu.md")).toContain("There is no earlier state to compare with.");
  expect(await output("git", ["status", "--porcelain"], { cwd: clone.folder })).toBe(" M Pulumi.cpu.yaml");
});
