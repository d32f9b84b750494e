import fc from "fast-check";
import type * as v from "valibot";
import { describe, expect, test } from "vitest";
import { settingKeys as composeKeys } from "../../deploy/compose/settings.ts";
import { settingKeys as kubernetesKeys } from "../../deploy/kubernetes/settings.ts";
import { requirementNames } from "../../deploy/requirements.ts";
import { configKeys } from "../../plan/config.ts";
import { ConfigError, declarationOf, parseConfigOf } from "../../plan/configReader.ts";
import { modelNames } from "../../plan/models.ts";
import { encoded, mistaken, rightConfig, type Samples } from "./arbitraryConfig.ts";

const commit = "1".repeat(40);
const digest = `sha256:${"a".repeat(64)}`;
const image = fc.constantFrom(`python:3.11-slim@${digest}`, `mirror.example:5000/cuda/runtime@${digest}`);
const url = fc.webUrl({ validSchemes: ["http", "https"] });

const samples: Samples = {
  source: fc.constantFrom("app", `https://example.org/app.git#${commit}`, `ssh://git@host/app.git#${commit}:sub`),
  repository: fc.constantFrom("facecraft", "docker.io/djok/facecraft", "localhost:5000/a/b-c__d"),
  cacheRepository: fc.constantFrom("docker.io/djok/cache"),
  torchIndexUrl: url,
  pipIndexUrl: url,
  urls: fc.array(fc.constantFrom("https://u:p@x.example/m.onnx", "http://x/a.bz2", "file:///m"), { minLength: 1 }),
  caBundle: fc.constant("package.json"),
  constraints: fc.constant("app/requirements.txt"),
  platforms: fc.constantFrom([], ["linux/amd64"]),
  unusedModels: fc.subarray(modelNames),
  require: fc.subarray(requirementNames),
  proofEnvironment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,9}$/), fc.constantFrom("", "1", "a b=c", "https://x/y")),
  signing: fc.constantFrom(
    { key: "cosign.key" },
    { key: "env://COSIGN_KEY", password: "p" },
    { key: "k8s://releases/cosign" },
    { keyless: true },
  ),
  verify: fc.constantFrom(
    { key: "env://COSIGN_PUBLIC_KEY" },
    { key: "awskms:///alias/releases" },
    { identity: "https://example.org/release.yml@refs/tags/v1.0.0", issuer: "https://token.example.org" },
  ),
  python: image,
  cudaRuntime: image,
  imageRef: fc.constant(`docker.io/djok/facecraft:1.0.0-cpu-0a@sha256:${"a".repeat(64)}`),
  dockerHost: fc.constantFrom("ssh://deploy@server:2222", "unix:///var/run/docker.sock", "tcp://[::1]:2375"),
  address: fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  ),
  environment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,9}$/), fc.string()),
  memory: fc.constantFrom("4g", "512m"),
  namespace: fc.constantFrom("facecraft", "a-1"),
  pullSecret: fc.constantFrom("registry", "registry.example-1"),
};
const onKubernetes: Samples = {
  ...samples,
  memory: fc.constantFrom("4Gi", "0.5Gi", "500M"),
  scratch: fc.constant("2Gi"),
};

const projects: [string, v.ObjectEntries, Samples][] = [
  ["facecraft", configKeys, samples],
  ["facecraft-deploy", composeKeys, samples],
  ["facecraft-kubernetes", kubernetesKeys, onKubernetes],
];

function problemsOf(namespace: string, keys: v.ObjectEntries, values: Record<string, string>, isSecret = () => true) {
  try {
    parseConfigOf(namespace, keys, { values, isSecret });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
}

describe.each(projects)("any config of %s", (namespace, keys, ofIts) => {
  test("that is right is read as it was written, with the defaults for the rest", () => {
    const defaults = Object.entries(keys)
      .filter(([, schema]) => schema.type === "optional")
      .map(([key, schema]) => [key, declarationOf(schema as v.GenericSchema).default]);
    fc.assert(
      fc.property(rightConfig(keys, ofIts), (config) => {
        const read = parseConfigOf(namespace, keys, { values: encoded(config), isSecret: () => true });
        expect(read).toEqual({ ...Object.fromEntries(defaults), ...config });
      }),
    );
  });

  test("with one mistake is refused in sentences that name the key, and nothing but that key", () => {
    const mistakes = rightConfig(keys, ofIts).chain((config) => mistaken(keys, config));
    fc.assert(
      fc.property(mistakes, ({ path, values }) => {
        const problems = problemsOf(namespace, keys, values);
        expect(problems).not.toEqual([]);
        for (const problem of problems) {
          expect(problem.startsWith(`${namespace}:${path.join(".")}`), problem).toBe(true);
          expect(problem).toMatch(/^\S+ (is .*; it must be .*|is not a config key; known are .*)\.$/s);
          expect(problem.length).toBeLessThan(1500);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("that is all nonsense is refused in sentences, too", () => {
    const key = fc.oneof(fc.constantFrom(...Object.keys(keys)), fc.string());
    const value = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom("null", "{", "[[", '{"u2net":{"urls":{}}}', "\0", "1e999"),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value), (values) => {
        const problems = problemsOf(namespace, keys, values);
        const strangers = Object.keys(values).filter((name) => !Object.hasOwn(keys, name));
        const named = problems.filter((problem) => problem.includes("is not a config key"));
        expect(named.length).toBeGreaterThanOrEqual(strangers.length);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a secret is never shown", () => {
  const password = "hunter2";
  const around = fc.oneof(
    fc.string(),
    fc.constantFrom("", "{", "}", "[", '"', "https://", "https://u:", "@host/x", "?a=", " "),
  );

  test("when a part of registryAuth is wrong", () => {
    const text = fc.tuple(around, around).map(([before, after]) => `${before}${password}${after}`);
    const wrong = fc.oneof(
      text,
      fc
        .letrec((tie) => ({
          json: fc.oneof(
            { maxDepth: 3 },
            text,
            fc.array(tie("json")),
            fc.dictionary(fc.constantFrom("address", "username", "password"), tie("json")),
          ),
        }))
        .json.map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(wrong, fc.boolean(), (registryAuth, isSecret) => {
        const problems = problemsOf("facecraft", configKeys, { registryAuth }, () => isSecret);
        // A name of a key is no value.
        const shown = problems.filter((problem) => !problem.includes("is not a config key"));
        expect(shown.join("\n")).not.toContain(password);
      }),
    );
  });

  test("when a URL cannot be read", () => {
    const text = fc.tuple(around, around).map(([before, after]) => `${before}://u:${password}@${after}`);
    const values = text.chain((url) =>
      fc.constantFrom(
        { torchIndexUrl: url },
        { source: url },
        { repository: url },
        { platforms: url },
        { baseImages: JSON.stringify({ python: url }) },
        { models: JSON.stringify({ u2net: { urls: [url] } }) },
        { models: JSON.stringify({ u2net: { urls: [{ [url]: [url] }] } }) },
        { models: JSON.stringify({ [url]: url }) },
        { models: `{"u2net":{"urls":["${url}"]` },
        { [url]: "" },
      ),
    );
    fc.assert(
      fc.property(values, fc.boolean(), (given, isSecret) => {
        expect(problemsOf("facecraft", configKeys, given, () => isSecret).join("\n")).not.toContain(password);
      }),
      { numRuns: 500 },
    );
  });
});
