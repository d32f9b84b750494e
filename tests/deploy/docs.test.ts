import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { rules } from "../../policy/rules.ts";

const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The config keys that a project declares, as rows of a table. */
function rows(project: string): string[] {
  const declared = /^config:\n([\s\S]*)$/m.exec(read(project))?.[1] ?? "";
  return declared.split(/^ {2}(?=\w)/m).flatMap((block) => {
    const [, key] = /^(\w+):/.exec(block) ?? [];
    const value = (name: string) => new RegExp(`^ {4}${name}: "?(.*?)"?$`, "m").exec(block)?.[1] ?? "";
    const shown = /^ {4}default:/m.test(block) ? `\`${value("default") || '""'}\`` : "required";
    return key ? [`| \`${key}\` | ${shown} | ${value("description")} |`] : [];
  });
}

test.each([
  ["docs/deploy.md", "deploy/Pulumi.yaml"],
  ["docs/kubernetes.md", "deploy/kubernetes/Pulumi.yaml"],
])("%s has the config that %s declares", (page, project) => {
  expect(rows(project).length).toBeGreaterThan(5);
  expect(read(page)).toContain(rows(project).join("\n"));
});

test("docs/policy.md has every rule, as its code describes it", () => {
  const table = rules.map(({ name, judges, description }) => `| \`${name}\` | ${judges} | ${description} |`);
  expect(read("docs/policy.md")).toContain(table.join("\n"));
});
