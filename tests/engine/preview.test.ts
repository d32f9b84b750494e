import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import type { Report } from "../../preview/report.ts";
import { type Result, run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

process.env.PULUMI_DEBUG_COMMANDS = "true"; // the engine's --event-log

let clone: Clone;
let released: Outputs;

beforeAll(async () => {
  clone = await Clone.make();
  expect((await clone.up("--policy-pack", join(clone.folder, "policy/index.ts"))).code).toBe(0);
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
    "--event-log",
    log,
    "--policy-pack",
    join(clone.folder, "policy/index.ts"),
  );
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(paths.tls, "ca.pem") };
  const reported = await run(["node", "preview/write-report.ts", "local", log, folder], clone.folder, env);
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
    const { code, report, markdown } = await preview();

    expect(code).toBe(0);
    expect(report).toMatchObject({ result: "unchanged", summary: `No change: ${released.imageRef} stays.`, tags: [] });
    expect(report.policy).toMatchObject({
      violations: [],
      appliedBy: expect.stringContaining("policy pack facecraft"),
    });
    expect(markdown).toContain("All 11 rules hold");
  });

  test("changes the application sees the revision, the tags and the size of the last release", async () => {
    clone.edit("app/src/facecraft/main.py", (text) => `${text}\n# One more line.\n`);
    const revision = await clone.commit("Change the application");
    const { code, report, markdown } = await preview();

    expect(code).toBe(0);
    expect(report.changes[0]).toEqual({ what: "source revision", from: released.revision, to: revision });
    expect(report.tags).toEqual([
      `${clone.repository}:cpu`,
      `${clone.repository}:1.0.0-cpu-<suffix chosen by the update>`,
    ]);
    expect(report.last).toMatchObject({ imageRef: released.imageRef, compressedBytes: expect.any(Number) });
    expect(report.last.compressedBytes).toBeGreaterThan(50e6);
    expect(markdown).toContain(`| source revision | \`${released.revision}\` | \`${revision}\` |`);
    expect(await clone.tags()).toHaveLength(2);
  });

  test("changes a model and its pin sees both pins", async () => {
    const file = join(clone.artifacts, "u2net_human_seg.onnx");
    const original = readFileSync(file);
    const other = Buffer.concat([original, randomBytes(16)]);
    writeFileSync(file, other);
    const before = released.models.u2net?.sha256 as string;
    const after = createHash("sha256").update(other).digest("hex");
    clone.writeConfig((text) => text.replace(before, after));
    const { code, report, markdown } = await preview();

    expect(code).toBe(0);
    expect(report.changes).toContainEqual({ what: "pin of u2net human seg", from: before, to: after });
    expect(report.models.find(({ name }) => name === "u2net")).toMatchObject({
      before,
      sha256: after,
      state: "changed",
    });
    expect(markdown).toContain(`\`${before.slice(0, 12)}…\` → \`${after.slice(0, 12)}…\``);
    writeFileSync(file, original);
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
    expect(report.policy.violations.map(({ rule }) => rule)).toEqual(["torch-index"]);
    expect(report.problems.map(({ resource }) => resource)).toContain("facecraft-proof");
    expect(report.summary).toContain("it breaks torch-index");
    expect(await clone.tags()).toHaveLength(2);
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

  expect(previewed.text).toContain("would publish the first release");
  expect(previewed.code).toBe(0);
  expect(JSON.parse(read("cpu.json")).last.published).toEqual({
    ...{ reference: `${clone.repository}:cpu`, version: "1.0.0", revision: released.revision },
  });
  expect(read("cpu.md")).toContain("There is no earlier state to compare with.");
  expect(await output("git", ["status", "--porcelain"], { cwd: clone.folder })).toBe(" M Pulumi.cpu.yaml\n");
});
