import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { modulesBehind } from "../../local/alignModules.ts";
import { inWorld, noNamespace } from "../namespace.ts";
import { ToolClone } from "./toolClone.ts";

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
  // A Go that writes down what it was asked to build.
  clone.script(
    "go",
    '[ "$1" = build ] || exit 0\nfor last; do [ "$was" != -o ] || echo "$*" > "$last"; was=$last; done',
  );
});
afterEach(() => clone.remove());

const built = () => join(clone.tools, "bin/buildkitd");

/** Obtains the builder where no site answers. */
async function obtain(): Promise<string> {
  const script = `
    const { serviceTools, obtainAll } = await import("./local/tools.ts");
    const wanted = serviceTools.filter(({ name }) => name === "buildkitd");
    await obtainAll(wanted);
    console.log(wanted[0].find().origin);
  `;
  const command = [process.execPath, "--input-type=module", "-e", script];
  const { code, text } = await inWorld({}, command, { cwd: clone.root, env: clone.env });
  expect(code, text).toBe(0);
  return text;
}

describe.skipIf(noNamespace)(`a builder from Go modules${noNamespace ? ` (skipped: ${noNamespace})` : ""}`, () => {
  test("takes devices into build steps", async () => {
    expect(await obtain()).toMatch(/building buildkitd from Go modules[\s\S]*go\.sum/);
    expect(readFileSync(built(), "utf8")).toContain("-tags dfrundevice ");
    expect(await obtain()).toBe("go.sum\n");
  });

  test("that an earlier version of this project has built is built anew", async () => {
    mkdirSync(join(clone.tools, "bin"));
    writeFileSync(built(), "without devices", { mode: 0o755 });
    await obtain();
    expect(readFileSync(built(), "utf8")).toContain("-tags dfrundevice ");
  });

  test("of other modules is built anew", async () => {
    await obtain();
    writeFileSync(built(), "of other modules");
    const sums = join(clone.root, "local/tools/buildkit/go.sum");
    writeFileSync(sums, `${readFileSync(sums, "utf8")}example.org/more v1.0.0 h1:AAAA\n`);
    await obtain();
    expect(readFileSync(built(), "utf8")).toContain("-tags dfrundevice ");
    expect(existsSync(join(clone.tools, "bin/.buildkitd.json"))).toBe(true);
  });
});

test("modules of several tools are of one version, so that each is compiled once (`node local/alignModules.ts`)", () => {
  expect(modulesBehind()).toEqual([]);
});
