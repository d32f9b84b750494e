import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { variantNames } from "../../components/variants.ts";
import { root } from "../../local/paths.ts";
import { marker } from "../../preview/markdown.ts";

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

test("the workflow that may write checks nothing out", () => {
  const text = workflow("preview-comment.yml");
  expect(text).toContain("pull-requests: write");
  expect(text).not.toMatch(/checkout|run: /);
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
