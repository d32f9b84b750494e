import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../../local/paths.ts";
import { rules } from "../../policy/rules.ts";

const read = (path: string) => readFileSync(join(root, path), "utf8");

interface Declared {
  default?: unknown;
  description: string;
}

/** The config keys that a project declares, as rows of a table. */
function rows(project: string): string[] {
  const { config } = parse(read(project)) as { config: Record<string, Declared> };
  return Object.entries(config).map(([key, { default: fallback, description }]) => {
    const shown = typeof fallback === "string" && fallback !== "" ? fallback : JSON.stringify(fallback);
    return `| \`${key}\` | ${shown === undefined ? "required" : `\`${shown}\``} | ${description} |`;
  });
}

test.each([
  ["docs/deploy.md", "deploy/compose/Pulumi.yaml"],
  ["docs/kubernetes.md", "deploy/kubernetes/Pulumi.yaml"],
])("%s has the config that %s declares", (page, project) => {
  expect(rows(project).length).toBeGreaterThan(5);
  expect(read(page)).toContain(rows(project).join("\n"));
});

test("docs/policy.md has every rule, as its code describes it", () => {
  const table = rules.map(({ name, judges, description }) => `| \`${name}\` | ${judges} | ${description} |`);
  expect(read("docs/policy.md")).toContain(table.join("\n"));
});
