import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../run.ts";
import { Clone } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

const pin = /sha256: (\w{63})\w/;

/** A wrong line of config, and what a person reads about it: the key, the value, and what would be right. */
const mistakes: [string, (config: string) => string, RegExp][] = [
  [
    "an unknown key",
    (text) => `${text}\n  facecraft:varaint: cpu\n`,
    /facecraft:varaint is not a config key; known are variant,/,
  ],
  [
    "an unknown variant",
    (text) => text.replace("variant: cpu", "variant: tpu"),
    /facecraft:variant is "tpu"; it must be cpu or gpu/,
  ],
  [
    "a pin with 63 digits",
    (text) => text.replace(pin, "sha256: $1"),
    /facecraft:models\.codeformer\.sha256 is "\w{63}"; it must be 64 .*63 characters.*CodeFormer/,
  ],
  [
    "a base without a digest",
    (text) => text.replace(/(python: \S+)@sha256:\w+/, "$1"),
    /facecraft:baseImages\.python is ".*"; it must be an image reference with a digest/,
  ],
  [
    "a platform that there is no torch for",
    (text) => `${text}\n  facecraft:platforms: ["linux/mips128"]\n`,
    /facecraft:platforms is \["linux\/mips128"\]; it must be .* the cpu image can be built for, each once: linux\/amd64/,
  ],
  [
    "a registry that does not answer",
    (text) => text.replace(/repository: .*/, "repository: localhost:2/facecraft"),
    /facecraft:repository is "localhost:2\/facecraft"\. The registry localhost:2 cannot be reached: ECONNREFUSED/,
  ],
  [
    "a builder that does not exist",
    (text) => text.replace(/builder: .*/, "builder: nobody"),
    /facecraft:builder is "nobody", but buildx has no such builder/,
  ],
  [
    "a source that is not there",
    (text) => text.replace("source: app", "source: nowhere"),
    /facecraft:source is "nowhere"; it must be/,
  ],
  [
    "a source that is no application",
    (text) => text.replace("source: app", "source: docker"),
    /facecraft:source is "docker", which has no requirements\.txt/,
  ],
  [
    "an unknown model among the unused ones",
    (text) => `${text}\n  facecraft:unusedModels: [gfpgan]\n`,
    /facecraft:unusedModels is \["gfpgan"\]; it must be a list of models .*, each once: shapePredictor, codeformer, u2net/,
  ],
  [
    "a network that is neither refused nor allowed",
    (text) => `${text}\n  facecraft:network: none\n`,
    /facecraft:network is "none"; it must be refused or allowed/,
  ],
  [
    "a GPU that a cpu image shall be proven on",
    (text) => `${text}\n  facecraft:gpuProof: required\n`,
    /facecraft:gpuProof is "required"; it must be auto or off, because the cpu image computes on no GPU/,
  ],
  [
    "a variable of the proof that the image decides",
    (text) => `${text}\n  facecraft:proofEnvironment: { FACECRAFT_PORT: "9000" }\n`,
    /facecraft:proofEnvironment\.FACECRAFT_PORT must be left out: docker\/Dockerfile\.cpu sets it for the image/,
  ],
  [
    "a variable of the proof that looks like a secret",
    (text) => `${text}\n  facecraft:proofEnvironment: { HF_TOKEN: "hunter2" }\n`,
    /facecraft:proofEnvironment\.HF_TOKEN is \[secret\] \(text\); it must be no secret/,
  ],
  ["a value of another type", (text) => `${text}\n  facecraft:push: maybe\n`, /'push' must be of type 'boolean'/],
];

test("a variable of the proof that the config keeps secret is told in a sentence, before anything is built", async () => {
  clone.writeConfig();
  const set = ["config", "set", "--secret", "--path", "facecraft:proofEnvironment.MIRROR", "hunter2"];
  const where = ["--stack", clone.stack, "--config-file", clone.configFile];
  expect(await run(["pulumi", ...set, ...where], clone.folder, clone.environment)).toSucceed();
  const up = await clone.up();

  expect(up.code).not.toBe(0);
  expect(up.text).toMatch(/facecraft:proofEnvironment is kept as a secret; it must be plain text, because the record/);
  expect(up.text).not.toContain("hunter2");
  expect(up.text).not.toContain("docker-build:index:Image");
});

describe("a mistake in the config", () => {
  test.each(mistakes)("%s is told in a sentence, before anything is built", async (_name, change, sentence) => {
    clone.writeConfig(change);
    const up = await clone.up();

    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(sentence);
    expect(up.text).not.toMatch(/^\s+at .*:\d+:\d+/m);
    expect(up.text).not.toContain("hunter2");
    expect(up.text).not.toContain("docker-build:index:Image");
    expect(await clone.tags()).toEqual([]);
  });
});
