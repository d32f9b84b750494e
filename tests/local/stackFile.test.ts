import { describe, expect, test } from "vitest";
import { formatStackFile, parseStackFile, withoutSecrets } from "../../local/stackFile.ts";

const without = (...lines: string[]) => withoutSecrets(`${lines.join("\n")}\n`, "Pulumi.x.yaml");

describe("a stack's config without its secrets", () => {
  test("leaves out what only the stack's own backend could decrypt", () => {
    expect(
      without(
        "encryptionsalt: v1:abc",
        "config:",
        "  facecraft:variant: cpu",
        "  facecraft:registryAuth:",
        "    address: docker.io",
        "    password:",
        "      secure: v1:xyz",
        "  facecraft:version: 1.2.0",
      ),
    ).toBe("config:\n  facecraft:variant: cpu\n  facecraft:version: 1.2.0\n");
  });

  test.each([
    ["in flow style", ["  facecraft:registryAuth: {address: docker.io, password: {secure: v1:xyz}}"]],
    ["under a quoted key", ["  facecraft:registryAuth:", '    password: {"secure": "v1:xyz"}']],
    [
      "in a list",
      ["  facecraft:models:", "    u2net:", "      urls:", "        - https://x/y", "        - secure: v1:xyz"],
    ],
    ["as the value itself", ["  facecraft:pipIndexUrl:", "    secure: v1:xyz"]],
    ["by an alias", ["  a:b: &x", "    secure: v1:xyz", "  facecraft:pipIndexUrl: *x"]],
    ["by a merged key", ["  a:b: &x", "    secure: v1:xyz", "  facecraft:models:", "    <<: *x"]],
    ["of four spaces", ["    facecraft:registryAuth:", "        password:", "            secure: v1:xyz"]],
  ])("finds a secret %s", (_how, lines) => {
    const indent = /^ +/.exec(lines[0] as string)?.[0];
    const text = without("config:", ...lines, `${indent}facecraft:variant: cpu`);
    expect(text).not.toMatch(/xyz|secure/);
    expect(parseStackFile(text, "x").config).toEqual({ "facecraft:variant": "cpu" });
  });

  test("keeps a value that an alias takes from one that leaves", () => {
    const text = without(
      "config:",
      "  facecraft:registryAuth:",
      "    address: &registry docker.io",
      "    password: {secure: v1:xyz}",
      "  facecraft:repository: *registry",
    );
    expect(parseStackFile(text, "x").config).toEqual({ "facecraft:repository": "docker.io" });
  });

  test("keeps the rest as it is written: comments, numbers, and text that only speaks of secure: things", () => {
    const kept = [
      "# For everyone.",
      "config:",
      "  facecraft:version: 1.10 # not 1.1",
      '  facecraft:builder: "secure: builder"',
      `  facecraft:source: https://example.org/${"long/".repeat(40)}app.git#${"1".repeat(40)}`,
      "  # secure: nothing",
      "  facecraft:push: yes",
    ];
    expect(without(...kept)).toBe(`${kept.join("\n")}\n`);
  });

  test.each([
    ["", ""],
    ["# nothing yet\n", "# nothing yet\n"],
    ["config:\n", "config:\n"],
  ])("takes a file without config: %j", (text, same) => {
    expect(withoutSecrets(text, "x")).toBe(same);
  });

  test.each([
    ["config: [", /^Pulumi\.x\.yaml cannot be read as YAML \(line 2\): /],
    ["config:\n  a: 1\n  a: 2", /^Pulumi\.x\.yaml cannot be read as YAML \(line 3\): Map keys must be unique/],
    ["config: &x\n  a: *x", /^Pulumi\.x\.yaml has \*x, which leads to itself\.$/],
    ["config:\n  a: *nobody", /^Pulumi\.x\.yaml cannot be read as YAML: Unresolved alias/],
    [
      `config:\n  a0: &a0 [x]\n${Array.from({ length: 20 }, (_, at) => `  a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}]`).join("\n")}`,
      /Excessive alias count/,
    ],
  ])("says what is wrong with a file that is none: %j", (text, sentence) => {
    expect(() => without(text)).toThrow(sentence);
  });
});

test("a stack's config is written as it is read", () => {
  const content = {
    encryptionsalt: "v1:a:b=",
    config: { "facecraft-deploy:port": 8080, "facecraft-deploy:from": "a/b/c" },
  };
  expect(parseStackFile(formatStackFile(content), "x")).toEqual(content);
});
