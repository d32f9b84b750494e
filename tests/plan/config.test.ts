import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../plan/config.ts";
import { ConfigError } from "../../plan/configReader.ts";
import { variantNames, variants } from "../../plan/variants.ts";

const commit = "1".repeat(40);
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
      unusedModels: [],
      network: "refused",
      gpuProof: "auto",
      proofEnvironment: {},
      baseImages: {},
      models: {},
      platforms: ["linux/amd64"],
    });
  });

  test("has the base images of other variants, too, so that stacks can share a config", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const baseImages = { python: `mirror/python:3.11@${digest}`, cudaRuntime: `mirror/cuda@${digest}` };
    expect(parseConfig({ ...minimal, baseImages: JSON.stringify(baseImages) })).toMatchObject({ baseImages });
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
    [{ models: "[1" }, /facecraft:models is \[secret\] \(text\); it must be an object/],
    [{ caBundle: "/nowhere.pem" }, /facecraft:caBundle is "\/nowhere.pem"; it must be an existing PEM file/],
    [{ smokeTest: "maybe" }, 'facecraft:smokeTest is "maybe"; it must be true or false.'],
    [{ constraints: "nowhere.txt" }, /facecraft:constraints is "nowhere.txt"; it must be an existing file/],
    [{ torchIndexUrl: "download.pytorch.org" }, /facecraft:torchIndexUrl is .* an http or https URL/],
    [{ variant: "" }, 'facecraft:variant is ""; it must be cpu or gpu.'],
    [{ version: "" }, /^facecraft:version is ""; it must be a semantic version/],
    [{ repository: "" }, /^facecraft:repository is ""; it must be a repository without a tag/],
    [{ caBundle: "5" }, 'facecraft:caBundle is "5"; it must be an existing PEM file.'],
    [{ caBundle: "app" }, 'facecraft:caBundle is "app"; it must be an existing PEM file.'],
    [{ caBundle: "x".repeat(5000) }, /^facecraft:caBundle is "x+… \(5000 characters\)"; it must be/],
    [
      { platforms: "{}" },
      "facecraft:platforms is {}; it must be a list of platforms that the cpu image can be built for, each once: linux/amd64.",
    ],
    [{ platforms: "null" }, /^facecraft:platforms is null; it must be a list/],
    [
      { signing: '{"key":"awskms://key"}' },
      'facecraft:signing.key is "awskms://key"; it must be awskms://[ENDPOINT]/ID, where ID is a key\'s id or ARN, or alias/NAME.',
    ],
    [
      { signing: '{"key":"ftp://host/cosign.key"}' },
      /^facecraft:signing\.key is .*; it must be the path of a private key/,
    ],
    [{ signing: '{"keyless":false}' }, /^facecraft:signing is .*; it must be either \{key\} or \{key, password\}, or/],
    [{ signing: '{"key":"cosign.key","keyless":true}' }, /^facecraft:signing is \[secret\].*or \{keyless: true\}\.$/],
    [{ signing: '{"key":"k","password":"hunter2"}' }, /^facecraft:signing holds a password in plain text/],
    [
      { models: "[]" },
      "facecraft:models is [secret] (a list); it must be an object {shapePredictor, codeformer, u2net}.",
    ],
    [
      { models: '{"u2net":null}' },
      /^facecraft:models\.u2net is null; it must be an object {urls, sha256, downloadSha256, token}/,
    ],
    [{ models: '{"u2net":{"urls":[null]}}' }, /^facecraft:models\.u2net\.urls is \[null\]; it must be a list/],
    [{ models: '{"u2net":{"urls":["https://x/folder/"]}}' }, /^facecraft:models\.u2net\.urls is .*URLs of the file/],
    [{ models: '{"constructor":{}}' }, /^facecraft:models\.constructor is not a config key/],
    [{ baseImages: '{"python":""}' }, /^facecraft:baseImages\.python is ""; it must be an image reference/],
    [
      { baseImages: '{"python":"mirror/python:3.11"}' },
      'facecraft:baseImages.python is "mirror/python:3.11"; it must be an image reference with a digest ' +
        "(name:tag@sha256:<64 hex digits>), because a tag can come to mean another image.",
    ],
    [
      { baseImages: '{"cudaRuntime":"mirror/cuda@sha256:abc"}' },
      /^facecraft:baseImages\.cudaRuntime is .*with a digest/,
    ],
    [
      { baseImages: `{"python":"python@sha256:${"A".repeat(64)}"}` },
      /^facecraft:baseImages\.python is .*with a digest/,
    ],
    [{ push: "yes" }, 'facecraft:push is "yes"; it must be true or false.'],
    [
      { registryAuth: "3" },
      "facecraft:registryAuth is [secret] (a number); it must be an object {address, username, password}.",
    ],
    [{ registryAuth: "null" }, /^facecraft:registryAuth is null; it must be an object/],
    [
      { unusedModels: '["gfpgan"]' },
      'facecraft:unusedModels is ["gfpgan"]; it must be a list of models that the application need not open, each once: ' +
        "shapePredictor, codeformer, u2net.",
    ],
    [{ unusedModels: '["u2net","u2net"]' }, /^facecraft:unusedModels is \["u2net","u2net"\]; it must be .*each once/],
    [{ unusedModels: "codeformer" }, /^facecraft:unusedModels is "codeformer"; it must be a list/],
    [{ unusedModels: "[null]" }, /^facecraft:unusedModels is \[null\]; it must be a list/],
    [{ network: "off" }, 'facecraft:network is "off"; it must be refused or allowed.'],
    [{ network: "" }, 'facecraft:network is ""; it must be refused or allowed.'],
    [{ variant: "gpu", gpuProof: "yes" }, 'facecraft:gpuProof is "yes"; it must be auto, required or off.'],
    [
      { gpuProof: "required" },
      'facecraft:gpuProof is "required"; it must be auto or off, because the cpu image computes on no GPU: it has nothing ' +
        "that could be proven on one.",
    ],
    [{ gpuProof: "yes" }, /^facecraft:gpuProof is "yes"; it must be auto or off, because the cpu image/],
    [{ variant: "tpu", gpuProof: "required" }, /^facecraft:variant is "tpu"/],
    [
      { proofEnvironment: '{"MODEL-CHECKSUM":"1"}' },
      "facecraft:proofEnvironment.MODEL-CHECKSUM is [secret] (text); it must be under a name of letters, digits and _ " +
        "that does not begin with a digit.",
    ],
    [{ proofEnvironment: '{"A B":"1"}' }, /^facecraft:proofEnvironment\."A B" is .*; it must be under a name/],
    [{ proofEnvironment: '{"1ST":"1"}' }, /^facecraft:proofEnvironment\.1ST is .*does not begin with a digit/],
    [{ proofEnvironment: '{"__proto__":"1"}' }, /^facecraft:proofEnvironment\.__proto__ is .*under a name/],
    [
      { proofEnvironment: '{"A":["x"]}' },
      /^facecraft:proofEnvironment\.A is \[secret\] \(a list\); it must be text\.$/,
    ],
    [{ proofEnvironment: '{"A":"x\\nB=y"}' }, /^facecraft:proofEnvironment\.A is .*; it must be one line of text/],
    [{ proofEnvironment: '{"A":"x\\u2028B=y"}' }, /^facecraft:proofEnvironment\.A is .*; it must be one line of text/],
    [{ proofEnvironment: "[]" }, /^facecraft:proofEnvironment is .*; it must be an object of environment variables/],
    [
      { proofEnvironment: '{"HF_TOKEN":"hunter2"}' },
      "facecraft:proofEnvironment.HF_TOKEN is [secret] (text); it must be no secret, as its name or its form says that it is " +
        "one: everyone who can pull the image can read it there.",
    ],
    [
      { proofEnvironment: '{"MIRROR":"https://u:hunter2@mirror/x"}' },
      /proofEnvironment\.MIRROR is .*; it must be no secret/,
    ],
    [{ " push": "true" }, /^facecraft:" push" is not a config key; known are variant, version/],
  ])("is refused for %j", (change, sentence) => {
    const found = problems(change as Record<string, string>);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
    expect(found[0]).not.toContain("hunter2");
  });

  test("has for the proof what everyone may read, and refuses what the stack keeps encrypted", () => {
    const values = {
      ...minimal,
      unusedModels: '["u2net","codeformer"]',
      proofEnvironment: '{"A":1,"B":"x y","C":true}',
    };
    expect(parseConfig(values)).toMatchObject({
      unusedModels: ["u2net", "codeformer"],
      proofEnvironment: { A: "1", B: "x y", C: "true" },
    });
    expect(() => parseConfig(values, (key) => key === "proofEnvironment")).toThrow(
      "facecraft:proofEnvironment is kept as a secret; it must be plain text, because the record in the image shows it to " +
        "everyone who can pull it. Set it without --secret, and leave out what nobody may know.",
    );
  });

  test("proves a gpu image on a GPU where it must", () => {
    expect(parseConfig({ ...minimal, variant: "gpu", gpuProof: "required" })).toMatchObject({ gpuProof: "required" });
  });

  test.each([
    ["linux/mips128"],
    ["linux/arm64"],
    ["linux/amd64/v2"],
    ["linux/amd64", "linux/amd64"],
    ["linux/amd64", "linux/arm64"],
    ["LINUX/AMD64"],
    ["amd64"],
    [" linux/amd64"],
  ])("is refused for platforms that its variant cannot be built for: %j", (...platforms) => {
    for (const variant of variantNames) {
      expect(problems({ variant, platforms: JSON.stringify(platforms) })).toEqual([
        `facecraft:platforms is ${JSON.stringify(platforms)}; it must be a list of platforms that the ${variant} image ` +
          `can be built for, each once: ${variants[variant].platforms.join(", ")}.`,
      ]);
    }
  });

  test("names the platforms of every variant where it does not know which one is meant", () => {
    expect(problems({ variant: "tpu", platforms: '["linux/arm64"]' })[1]).toContain(
      "platforms that the cpu or gpu image can be built for",
    );
  });

  test.each([
    ["a part that is missing", { address: "", username: "u", password: "hunter2" }, /registryAuth\.address is ""/],
    [
      "a number",
      { address: "a", username: "u", password: 24682468 },
      /registryAuth\.password is \[secret\] \(a number\)/,
    ],
    [
      "a list",
      { address: ["hunter2"], username: "u", password: "x" },
      /registryAuth\.address is \[secret\] \(a list\)/,
    ],
  ])("never repeats a password: %s", (_what, registryAuth, sentence) => {
    const text = problems({ registryAuth: JSON.stringify(registryAuth) }).join("\n");
    expect(text).toMatch(sentence);
    expect(text).not.toMatch(/hunter2|24682468/);
  });

  test.each([
    ["registryAuth", '{"address":"docker.io","username":"u","password":"hunter2"'],
    ["models", '{"u2net":{"urls":["https://u:hunter2@mirror/u2net.onnx"]}'],
    ["models", '{"u2net":{"urls":["https://u:hunter2@no host/u2net.onnx"]}}'],
    ["models", '{"u2net":{"urls":["ftp://u:hunter2@mirror/u2net.onnx"]}}'],
    ["torchIndexUrl", "mirror/whl?token=hunter2"],
    ["torchIndexUrl", "https://u:hunter2 mirror/whl"],
    ["pipIndexUrl", "https://u:hunter2@mirror:port/simple"],
    ["repository", "u:hunter2@docker.io/djok/facecraft"],
    ["source", "https://hunter2@github.com/djok/facecraft.git#main"],
    ["baseImages", '{"python":"https://u:hunter2@mirror/python"}'],
  ])("never repeats the credential of a value that cannot be read: %s, %s", (key, value) => {
    expect(problems({ [key]: value }).join()).toMatch(new RegExp(`^facecraft:${key}[.a-z2]* is .*; it must be`, "i"));
    expect(problems({ [key]: value }).join()).not.toContain("hunter2");
  });

  test("shows nothing of what the stack keeps encrypted", () => {
    const values = { ...minimal, version: "hunter2", models: '{"u2net":{"sha256":"hunter2"}}', pipIndexUrl: "" };
    expect(() => parseConfig(values, () => true)).toThrow(
      "facecraft:version is [secret] (text); it must be a semantic version such as 1.4.0.\n" +
        "facecraft:models.u2net.sha256 is [secret] (text); it must be 64 lower-case hex digits (it has 7 characters): the pin of u2net human seg.",
    );
  });

  test.each([
    ["registryAuth", { registryAuth: '{"address":"docker.io","username":"u","password":"hunter2"}' }, "a password"],
    ["models", { models: '{"u2net":{"urls":["https://u:hunter2@mirror/u2net.onnx"]}}' }, "a URL with a credential"],
    ["models", { models: '{"u2net":{"urls":["https://mirror/u2net.onnx?token=hunter2"]}}' }, "a URL with a credential"],
    ["pipIndexUrl", { pipIndexUrl: "https://u:hunter2@mirror/simple" }, "a URL with a credential"],
    ["torchIndexUrl", { torchIndexUrl: "https://u:hunter2@mirror/whl/cpu" }, "a URL with a credential"],
    ["source", { source: `https://hunter2@github.com/djok/facecraft.git#${commit}` }, "a URL with a credential"],
  ])("wants %s as a secret when there is one in it", (key, change, what) => {
    expect(problems(change)).toEqual([
      `facecraft:${key} holds ${what} in plain text; set it with \`pulumi config set --secret\`.`,
    ]);
    expect(() => parseConfig({ ...minimal, ...change }, (asked) => asked === key)).not.toThrow();
  });

  test("takes the user of ssh for what it is, no secret", () => {
    expect(problems({ source: `ssh://git@github.com/djok/facecraft.git#${commit}` })).toEqual([]);
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
