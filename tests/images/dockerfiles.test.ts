import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";

const read = (name: string) => readFileSync(join(root, "docker", name), "utf8");
const [cpu, gpu] = [read("Dockerfile.cpu"), read("Dockerfile.gpu")];

/** The text of each stage, by name, without the comment that opens the next one. */
function stages(text: string): Map<string, string> {
  const parts = text.split(/^(?=FROM )/m).slice(1);
  return new Map(
    parts.map((part) => [/ AS (\S+)/.exec(part)?.[1] ?? "", part.replace(/\n(#[^\n]*\n)*$/, "\n").trim()]),
  );
}

describe("the two Dockerfiles", () => {
  test.each(["app", "requirements", "layers", "application", "shape-predictor", "codeformer", "u2net", "proof"])(
    "have the same stage %s",
    (stage) => {
      expect(stages(gpu).get(stage)).toBe(stages(cpu).get(stage));
      expect(stages(cpu).get(stage)).toBeDefined();
    },
  );

  test("have the same stages in the same order, the image last", () => {
    expect([...stages(gpu).keys()]).toEqual([...stages(cpu).keys()]);
    expect([...stages(cpu).keys()].at(-1)).toBe("release");
  });

  test("let the same inputs in", () => {
    expect(read("Dockerfile.gpu.rego")).toBe(read("Dockerfile.cpu.rego"));
    expect(read("Dockerfile.gpu.dockerignore")).toBe(read("Dockerfile.cpu.dockerignore"));
  });
});

test.each([cpu, gpu])("the proof boots the command that the image runs", (text) => {
  const command = JSON.parse(/^CMD (\[.*\])$/m.exec(text)?.[1] ?? "[]")[2];
  expect(text).toContain(`command = '${command}'`);
});

test.each([cpu, gpu])("each pin stands inside the stage that uses it", (text) => {
  for (const [stage, prefix] of [
    ["shape-predictor", "SHAPE_PREDICTOR"],
    ["codeformer", "CODEFORMER"],
    ["u2net", "U2NET"],
  ]) {
    expect(stages(text).get(stage ?? "")).toMatch(new RegExp(`^ARG ${prefix}_SHA256=[0-9a-f]{64}$`, "m"));
  }
});
