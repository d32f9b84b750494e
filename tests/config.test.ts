import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../components/config.ts";
import { ConfigError } from "../components/configReader.ts";

const minimal = { variant: "cpu", version: "1.0.0", source: "app", repository: "docker.io/djok/facecraft" };

function problems(change: Record<string, string>): readonly string[] {
  try {
    parseConfig({ ...minimal, ...change });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
}

describe("the config of a stack", () => {
  test("is typed, with what is not given left out", () => {
    expect(parseConfig({ ...minimal, builder: "", models: "{}", platforms: '["linux/amd64"]' })).toEqual({
      ...minimal,
      push: true,
      smokeTest: true,
      baseImages: {},
      models: {},
      platforms: ["linux/amd64"],
    });
  });

  test("names the ARG of each base image of the variant, and ignores the other variant's", () => {
    const baseImages = JSON.stringify({ python: "mirror/python:3.11", cudaDevel: "mirror/cuda:devel" });
    expect(parseConfig({ ...minimal, baseImages }).baseImages).toEqual({ PYTHON_IMAGE: "mirror/python:3.11" });
  });

  test("reports every problem at once", () => {
    expect(problems({ variant: "tpu", version: "one", pull: "x" })).toHaveLength(3);
  });

  test.each([
    [{ version: "1.0" }, 'facecraft:version is "1.0"; it must be a semantic version such as 1.4.0.'],
    [{ repository: "docker.io/djok/facecraft:latest" }, /facecraft:repository is .*a repository without a tag/],
    [{ source: "https://github.com/djok/facecraft.git#main" }, /pinned to a commit: <url>#<40 hex digits>/],
    [{ source: "https://github.com/djok/facecraft.git" }, /pinned to a commit/],
    [
      { models: '{"gan":{}}' },
      "facecraft:models.gan is not a config key; known are shapePredictor, codeformer, u2net.",
    ],
    [
      { models: '{"u2net":{"sha256":""}}' },
      /facecraft:models\.u2net\.sha256 is ""; it must be 64 .*0 characters.*u2net/,
    ],
    [
      { models: '{"u2net":{"urls":["ftp://x/y"]}}' },
      /facecraft:models\.u2net\.urls is \["ftp:\/\/x\/y"\]; it must be a list/,
    ],
    [{ models: '{"u2net":{"urls":[]}}' }, /facecraft:models\.u2net\.urls is \[\]/],
    [{ models: "[1" }, /facecraft:models is "\[1"; it must be an object/],
    [{ platforms: '["amd64"]' }, /facecraft:platforms is \["amd64"\]/],
    [{ caBundle: "/nowhere.pem" }, /facecraft:caBundle is "\/nowhere.pem"; it must be an existing PEM file/],
    [{ smokeTest: "maybe" }, 'facecraft:smokeTest is "maybe"; it must be true or false.'],
    [{ constraints: "nowhere.txt" }, /facecraft:constraints is "nowhere.txt"; it must be an existing file/],
    [{ torchIndexUrl: "download.pytorch.org" }, /facecraft:torchIndexUrl is .* an http or https URL/],
  ])("is refused for %j", (change, sentence) => {
    const found = problems(change as Record<string, string>);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });

  test("never repeats a password", () => {
    const auth = JSON.stringify({ address: "", username: "u", password: "hunter2" });
    expect(problems({ registryAuth: auth }).join()).toMatch(/registryAuth\.address/);
    expect(problems({ registryAuth: auth }).join()).not.toContain("hunter2");
  });

  test.each([
    ["registryAuth", { registryAuth: '{"address":"docker.io","username":"u","password":"hunter2"}' }, "a password"],
    ["models", { models: '{"u2net":{"urls":["https://u:hunter2@mirror/u2net.onnx"]}}' }, "a URL with a credential"],
  ])("wants %s as a secret when there is one in it", (key, change, what) => {
    expect(problems(change)).toEqual([
      `facecraft:${key} holds ${what} in plain text; set it with \`pulumi config set --secret\`.`,
    ]);
    expect(() => parseConfig({ ...minimal, ...change }, (asked) => asked === key)).not.toThrow();
  });

  test("accepts a pin exactly when it is 64 lower-case hex digits", () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{62,66}$/), fc.stringMatching(/^[0-9a-fA-F]{64}$/));
    fc.assert(
      fc.property(text, (sha256) => {
        const accepted = problems({ models: JSON.stringify({ codeformer: { sha256 } }) }).length === 0;
        expect(accepted).toBe(/^[0-9a-f]{64}$/.test(sha256));
      }),
    );
  });
});

test("Pulumi.yaml declares exactly the keys that are known", () => {
  const declared = [...readFileSync("Pulumi.yaml", "utf8").matchAll(/^ {2}(\w+):\n {4}type/gm)].map(
    (match) => match[1],
  );
  const [problem = ""] = problems({ nonsense: "" });
  expect(problem.replace(/.*known are |\.$/g, "").split(", ")).toEqual(declared);
});
