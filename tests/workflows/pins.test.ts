import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { variantNames } from "../../plan/variants.ts";
import { marker } from "../../reports/preview/markdown.ts";

const folder = join(root, ".github/workflows");
const workflows = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }));
const workflow = (name: string) => workflows.find((file) => file.name === name)?.text ?? "";

test.each(workflows)("$name pins every action to a commit, and says which version that is", ({ text }) => {
  const uses = [...text.matchAll(/uses: (.*)$/gm)].map(([, action]) => action);
  expect(uses.length).toBeGreaterThan(0);
  for (const action of uses) {
    expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  }
});

test("one action has one version in all workflows", () => {
  const pins = new Map<string, Set<string>>();
  for (const [, name, pin] of workflows.flatMap(({ text }) => [...text.matchAll(/uses: (\S+)@(\S+)/g)])) {
    pins.set(name as string, (pins.get(name as string) ?? new Set()).add(pin as string));
  }
  expect([...pins].filter(([, all]) => all.size > 1)).toEqual([]);
});

test("a preview runs a fork's code without secrets that publish, without write access and on hosted machines", () => {
  const text = workflow("preview.yml");
  expect(text).toMatch(/^ {2}pull_request:$/m);
  expect(text).not.toMatch(/pull_request_target|self-hosted|: write/);
  expect([...text.matchAll(/secrets\.(\w+)/g)].map(([, name]) => name)).toEqual(["PULUMI_ACCESS_TOKEN"]);
});

test("the workflow that may write runs the default branch's code, and makes the comment from the report's data", () => {
  const text = workflow("preview-comment.yml");
  expect(text).toContain("pull-requests: write");
  expect([...text.matchAll(/ref: (.*)/g)].map(([, ref]) => ref)).toEqual([
    "${{ github.event.repository.default_branch }}",
  ]);
  expect(text).not.toMatch(/run: |npm|\.md\b/);
  expect(text).toContain("scripts/preview-comment.ts");
});

test("what makes the comment needs no package", () => {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-comment-"));
  for (const room of ["scripts", "reports", "artifacts"]) {
    cpSync(join(root, room), join(folder, room), { recursive: true });
  }
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "cpu.json"), JSON.stringify({ summary: "No change: [x](https://evil.example) stays." }));
  const args = ["scripts/preview-comment.ts", "cpu", "cpu.json"];
  const text = execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  expect(text).toContain(`${marker("cpu")}\n`);
  expect(text).toContain("`[x](https://evil.example`) stays.");
  writeFileSync(join(folder, "cpu.json"), "# not JSON\n@everyone");
  expect(() => execFileSync(process.execPath, args, { cwd: folder, stdio: "pipe" })).toThrow(
    "is no report of a preview",
  );
  rmSync(folder, { recursive: true });
});

test("the nightly look at drift can log in, and nothing makes it green when it knows nothing", () => {
  const text = workflow("drift.yml");
  expect(text).toContain("docker/login-action@");
  expect(text).toMatch(/run: local\/run drift$/m);
  expect(text).not.toMatch(/continue-on-error|\|\| ?true|exit 0/);
});

test("previews, releases and drift cover every variant, and the comment finds its reports", () => {
  for (const variant of variantNames) {
    for (const name of ["preview.yml", "release.yml", "drift.yml", "preview-comment.yml"]) {
      expect(workflow(name)).toMatch(new RegExp(`\\b${variant}\\b`));
    }
    expect(workflow("preview-comment.yml").replace("${stack}\u0020-->", `${variant} -->`)).toContain(marker(variant));
    expect(marker("x")).toBe("<!-- facecraft-preview:x -->");
  }
});

test("a release runs no tool that nothing in this repository pins, and every night upstream is asked for", () => {
  expect(workflow("release.yml")).toMatch(/^env:\n(?: .*\n)* {2}FACECRAFT_PINNED_TOOLS: 1$/m);
  expect(workflow("drift.yml")).toMatch(/^ {8}run: make check-upstream$/m);
});
