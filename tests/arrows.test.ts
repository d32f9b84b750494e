import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

/** The rooms of the program, from the ground up: each may import from itself and from those before it. */
const floors = ["artifacts", "registry", "attest", "plan", "components", "policy", "reports", "scripts"];

const root = join(import.meta.dirname, "..");

function filesOf(room: string): string[] {
  const entries = readdirSync(join(root, room), { recursive: true, encoding: "utf8" });
  return entries.filter((name) => name.endsWith(".ts")).map((name) => join(room, name));
}

/** Rooms that a file names in imports, static or dynamic, and in no other string. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map(([, path]) =>
    normalize(join(dirname(file), path as string)),
  );
}

const roomOf = (file: string) => file.split("/")[0] as string;

describe("no import points up", () => {
  test.each(floors)("from %s/", (room) => {
    const allowed = floors.slice(0, floors.indexOf(room) + 1);
    const up = filesOf(room).flatMap((file) =>
      importsOf(file)
        .filter((target) => !allowed.includes(roomOf(target)))
        .map((target) => `${file} -> ${target}`),
    );
    expect(up).toEqual([]);
  });

  test("and only the engine's own rooms know Pulumi", () => {
    const knowing = ["artifacts", "registry", "attest", "plan"]
      .flatMap(filesOf)
      .filter((file) => readFileSync(join(root, file), "utf8").includes('"@pulumi/'));
    expect(knowing).toEqual(["plan/config.ts", "plan/preflight.ts"]);
  });

  test("and no two files import each other in a circle", () => {
    const graph = new Map(floors.flatMap(filesOf).map((file) => [file, importsOf(file)]));
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      expect(path, `${[...path, file].join(" -> ")}`).not.toContain(file);
      if (done.has(file)) {
        return;
      }
      for (const target of graph.get(file) ?? []) {
        visit(target, [...path, file]);
      }
      done.add(file);
    };
    for (const file of graph.keys()) {
      visit(file, []);
    }
  });
});
