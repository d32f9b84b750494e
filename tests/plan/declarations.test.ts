import { readFileSync } from "node:fs";
import type * as v from "valibot";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { settingKeys as composeKeys } from "../../deploy/compose/settings.ts";
import { settingKeys as kubernetesKeys } from "../../deploy/kubernetes/settings.ts";
import { configKeys } from "../../plan/config.ts";
import { declarationOf } from "../../plan/configReader.ts";
import { partsOf, unwrapped } from "../../plan/schemaParts.ts";
import { variants } from "../../plan/variants.ts";

interface Declared {
  type: string;
  default?: unknown;
  items?: { type: string };
  description: string;
}

/** Words that only the schema decides: choices, and the keys of what is structured. */
function vocabulary(schema: v.GenericSchema): string[] {
  const { entries = {}, item } = partsOf(schema);
  const { options = [] } = schema as { options?: readonly string[] };
  const inner = Object.entries(entries).flatMap(([key, entry]) => [key, ...vocabulary(unwrapped(entry))]);
  return [...options, ...inner, ...(item ? vocabulary(unwrapped(item)) : [])];
}

const projects: [string, v.ObjectEntries][] = [
  ["Pulumi.yaml", configKeys],
  ["deploy/compose/Pulumi.yaml", composeKeys],
  ["deploy/kubernetes/Pulumi.yaml", kubernetesKeys],
];

describe.each(projects)("%s", (file, keys) => {
  const declared: Record<string, Declared> = parse(readFileSync(file, "utf8")).config;
  const schemas = Object.entries(keys) as [string, v.GenericSchema][];

  test("declares exactly the keys that are read, in their order", () => {
    expect(Object.keys(declared)).toEqual(Object.keys(keys));
  });

  test.each(schemas)("declares %s with its type and its default", (key, schema) => {
    const { type, default: fallback, items } = declared[key] ?? {};
    expect({ type, default: fallback }).toEqual(declarationOf(schema));
    expect(items).toEqual(type === "array" ? { type: "string" } : undefined);
  });

  test.each(schemas)("describes %s with each of its choices and inner keys", (key, schema) => {
    const words = new Set(declared[key]?.description.match(/\w+/g));
    expect(vocabulary(unwrapped(schema)).filter((word) => !words.has(word))).toEqual([]);
  });
});

test("Pulumi.yaml and the README name the platforms that the variants can be built for, and no others", () => {
  const rows = [
    parse(readFileSync("Pulumi.yaml", "utf8")).config.platforms.description,
    readFileSync("README.md", "utf8")
      .split("\n")
      .find((line) => line.startsWith("| `platforms` |")),
  ];
  const known = [...new Set(Object.values(variants).flatMap(({ platforms }): readonly string[] => platforms))].sort();
  for (const row of rows) {
    expect([...new Set(row.match(/\b(linux|windows|darwin)\/\w+/g))].sort()).toEqual(known);
  }
});

test("the README names each choice and inner key, too", () => {
  const table = readFileSync("README.md", "utf8").split("## Config")[1]?.split("## Outputs")[0] ?? "";
  const missing = Object.entries(configKeys).flatMap(([key, schema]) => {
    const row = table.split("\n").find((line) => line.startsWith(`| \`${key}\` |`)) ?? "";
    const words = new Set(row.match(/\w+/g));
    return vocabulary(unwrapped(schema)).filter((word) => !words.has(word));
  });
  expect(missing).toEqual([]);
});
