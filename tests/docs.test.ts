import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const read = (file: string) => readFileSync(file, "utf8");
const makefile = read("Makefile");
const targets = new Set([...makefile.matchAll(/^([a-z][a-z-]*):/gm)].map((match) => match[1]));
const documents = ["README.md", ...globSync("docs/*.md"), ...globSync(".github/workflows/*.yml"), ".ci/run"];

describe("a command in the documents", () => {
  test.each(documents)("%s names only targets that the Makefile has", (file) => {
    // Where it is code: prose uses the word, too.
    const named = [...read(file).matchAll(/(?:`|run: |^\s*)make (?:--\w+ )*([a-z][a-z-]+)/gm)].map((match) => match[1]);
    expect(named.filter((name) => !targets.has(name))).toEqual([]);
  });

  test("reaches each target from the README's table or its first lines", () => {
    const readme = read("README.md");
    const internal = new Set(["help", "test-unit", "test-engine", "lint", "undeploy"]);
    expect(
      [...targets].filter((target) => !internal.has(target as string) && !readme.includes(`make ${target}`)),
    ).toEqual([]);
  });
});

test("the README's table of config has the keys of Pulumi.yaml, in their order", () => {
  const declared = [...read("Pulumi.yaml").matchAll(/^ {2}(\w+):\n {4}type/gm)].map((match) => match[1]);
  const table = read("README.md").split("## Config")[1]?.split("## Outputs")[0] ?? "";
  const documented = [...table.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
  expect(documented).toEqual(declared);
});

test("the README's table of outputs has what the program exports", () => {
  const program = read("index.ts");
  const exported = [...program.matchAll(/^export const (?:\{([^}]+)\}|(\w+))/gm)].flatMap((match) =>
    (match[1] ?? match[2] ?? "").split(",").map((name) => name.trim()),
  );
  const table = read("README.md").split("## Outputs")[1]?.split("## Commands")[0] ?? "";
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  const documented = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map((match) => match[1]),
  );
  expect(documented.sort()).toEqual(exported.sort());
});
