import { describe, expect, test } from "vitest";
import { models } from "../../plan/models.ts";
import { type Inputs, secret, unknown, viewImage } from "../../policy/image.ts";
import { allowedRegistries, type Context, defaultRegistries, judge, limits, rules } from "../../policy/rules.ts";
import { accepted, label, pin } from "./accepted.ts";

const context: Context = {
  verified: Object.keys(models).map((name) => ({ name, sha256: pin })),
  allowedRegistries: defaultRegistries,
};

function broken(change: Inputs, options: { retainOnDelete?: boolean; context?: Context } = {}) {
  const image = viewImage("release", { ...accepted, ...change }, options.retainOnDelete ?? true);
  return judge(image, options.context ?? context).map(({ rule, message }) => `${rule}: ${message}`);
}
const args = (change: Inputs) => ({ buildArgs: { ...accepted.buildArgs, ...change } });
const labels = (change: Inputs) => ({ labels: { ...accepted.labels, ...change } });

/** The release as one for GPUs, with what its label says that it was proven on. */
const onGpu = (proven: string | undefined) => ({
  dockerfile: { location: "docker/Dockerfile.gpu" },
  buildArgs: {
    ...accepted.buildArgs,
    CUDA_RUNTIME_IMAGE: accepted.buildArgs.PYTHON_IMAGE,
    TORCH_INDEX_URL: "https://download.pytorch.org/whl/cu118",
  },
  labels: { ...accepted.labels, ...(proven !== undefined && { "facecraft.proof.gpu": proven }) },
  tags: ["docker.io/djok/facecraft:gpu", "docker.io/djok/facecraft:1.2.0-gpu-0a1b2c3d"],
});

/** What is known of the release's signature. */
const signing = (asked: boolean, attached: boolean) => ({ context: { ...context, signing: { asked, attached } } });

test("a release as the program makes it breaks no rule", () => {
  expect(broken({})).toEqual([]);
});

test("a suffix that a preview cannot know yet breaks no rule", () => {
  expect(broken({ tags: ["docker.io/djok/facecraft:cpu", unknown] })).toEqual([]);
  expect(broken({ tags: unknown })).toEqual([]);
});

test("an image without tags is not judged as a release", () => {
  expect(broken({ tags: [], labels: {}, exports: [{ cacheonly: {} }] }, { retainOnDelete: false })).toEqual([]);
});

describe("each rule, broken once", () => {
  const cases: [string, string[], RegExp][] = [
    ["no-latest-tag", broken({ tags: [...accepted.tags, "docker.io/djok/facecraft:latest"] }), /:latest is, or means/],
    ["no-latest-tag", broken({ tags: [...accepted.tags, "docker.io/djok/facecraft"] }), /or means, :latest/],
    ["immutable-tag", broken({ tags: ["docker.io/djok/facecraft:cpu"] }), /none is 1\.2\.0-cpu-<at least 8 hex/],
    [
      "immutable-tag",
      broken({ tags: ["docker.io/djok/facecraft:1.1.0-cpu-0a1b2c3d"] }),
      /1\.1\.0-cpu-0a1b2c3d, none is/,
    ],
    ["signed-release", broken({}, signing(false, false)), /without a signature.*Set facecraft:signing/],
    ["sbom-attached", broken({}, signing(true, false)), /the stack has no ReleaseSignature/],
    ["labels", broken(labels({ [label("licenses")]: "GPL" })), /licenses is "GPL"; it must be "MIT"/],
    ["labels", broken(labels({ [label("vendor")]: undefined })), /vendor is not set; it must be "OBVT Toolbox"/],
    ["labels", broken(labels({ [label("revision")]: "main" })), /revision is "main"; it must match/],
    ["labels", broken(labels({ [label("base.digest")]: "unpinned" })), /base.digest is "unpinned"/],
    ["pinned-models", broken(args({ U2NET_URL: "" })), /U2NET_URL is ""; it must say where u2net human seg is/],
    [
      "torch-index",
      broken(args({ TORCH_INDEX_URL: "https://download.pytorch.org/whl/cu118" })),
      /needs an index of \+cpu/,
    ],
    ["torch-index", broken(args({ TORCH_INDEX_URL: undefined })), /TORCH_INDEX_URL is not set/],
    ["torch-index", broken({ dockerfile: { location: "Dockerfile" } }), /which is no variant's Dockerfile/],
    ["pinned-base", broken(args({ PYTHON_IMAGE: "python:3.11-slim" })), /set --path facecraft:baseImages\.python/],
    ["no-secrets", broken(args({ DOWNLOAD_TOKEN: "x" })), /DOWNLOAD_TOKEN holds a secret/],
    ["no-secrets", broken(args({ PIP_INDEX_URL: "https://me:pass@pypi.example.org/simple" })), /PIP_INDEX_URL holds/],
    ["no-secrets", broken(args({ NOTE: `ghp_${"x".repeat(36)}` })), /NOTE holds a secret/],
    ["no-secrets", broken(args({ NOTE: secret })), /NOTE holds a secret/],
    ["no-secrets", broken(labels({ note: "-----BEGIN PRIVATE KEY-----" })), /label note holds a secret/],
    ["kept-releases", broken({}, { retainOnDelete: false }), /pushed without retainOnDelete/],
    ["seen-by-previews", broken({ push: true }), /`push: true` makes every preview skip/],
    [
      "allowed-registries",
      broken({ cacheTo: [{ registry: { ref: "ghcr.io/x/cache:a" } }] }),
      /ghcr\.io\/x\/cache:a is not/,
    ],
    [
      "allowed-registries",
      broken({ tags: [...accepted.tags, "djok/facecraft:cpu", "evil/x:cpu"] }),
      /^.*evil\/x:cpu is not/,
    ],
    ["allowed-registries", broken({ tags: [...accepted.tags, "docker.io/djokovic/x:1"] }), /djokovic\/x:1 is not/],
    [
      "verified-models",
      broken({}, { context: { ...context, verified: context.verified.slice(1) } }),
      /no ModelChecksum "shapePredictor"/,
    ],
    [
      "verified-models",
      broken(args({ CODEFORMER_SHA256: "d".repeat(64) })),
      /CODEFORMER_SHA256 is "d{64}", but ModelChecksum verified "a{64}"/,
    ],
    ["proven-on-gpu", broken(onGpu("not proven")), /facecraft\.proof\.gpu is "not proven": nobody has seen this image/],
    [
      "proven-on-gpu",
      broken(onGpu(undefined)),
      /facecraft\.proof\.gpu is not set: .*facecraft:gpuProof auto or required/,
    ],
    [
      "ready-in-time",
      broken({}, { context: { ...context, maxReadySeconds: 2, readySeconds: 2.5 } }),
      /was ready after 2\.5 s, and maxReadySeconds is 2\. Find out/,
    ],
  ];
  test.each(cases)("%s", (rule, found, sentence) => {
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
    expect(found[0]).toMatch(new RegExp(`^${rule}: `));
  });

  test.each(["", "abc", "A".repeat(64), undefined])("pinned-models: the pin %o", (value) => {
    const buildArgs = Object.fromEntries(
      Object.entries({ ...accepted.buildArgs, U2NET_SHA256: value }).filter(([, item]) => item !== undefined),
    );
    expect(broken({ buildArgs })).toContainEqual(expect.stringMatching(/^pinned-models: .*U2NET_SHA256 is .*64 lower/));
  });

  test("every rule is among them", () => {
    expect(new Set([...cases.map(([rule]) => rule), "pinned-models"])).toEqual(new Set(rules.map(({ name }) => name)));
  });
});

test("a release waits for every model; what is only built need not", () => {
  const waiting = (inputs: Inputs, ...models: string[]) =>
    judge({ ...viewImage("release", inputs, true), waitsFor: new Set(models) }, context).map(({ message }) => message);
  expect(waiting(accepted, ...Object.keys(models))).toEqual([]);
  expect(waiting(accepted, "codeformer", "u2net")).toEqual([
    expect.stringMatching(/^It does not wait until shape predictor is verified: .* ModelChecksum "shapePredictor"/),
  ]);
  expect(waiting({ ...accepted, tags: [], exports: [{ cacheonly: {} }] })).toEqual([]);
});

test("a rule that is advisory only warns", () => {
  const image = viewImage("release", { ...accepted, ...onGpu("not proven") }, true);
  expect(judge(image, context)).toMatchObject([{ rule: "proven-on-gpu", mandatory: false }]);
  expect(broken(onGpu("NVIDIA A10, driver 535.104.05"))).toEqual([]);
});

test("a release may take its time unless somebody sets a bound, and what is not known breaks none", () => {
  expect(broken({}, { context: { ...context, readySeconds: 1e6 } })).toEqual([]);
  expect(broken({}, { context: { ...context, maxReadySeconds: 2, readySeconds: 2 } })).toEqual([]);
  expect(broken({}, { context: { ...context, maxReadySeconds: 2 } })).toEqual([]);
});

test("the environment can set the bound, in seconds", () => {
  expect(limits({})).toEqual({ allowedRegistries: defaultRegistries });
  expect(limits({ FACECRAFT_MAX_READY_SECONDS: "2.5" })).toMatchObject({ maxReadySeconds: 2.5 });
  for (const given of ["soon", "0", "-1", "Infinity", "5s"]) {
    expect(() => limits({ FACECRAFT_MAX_READY_SECONDS: given })).toThrow(
      `FACECRAFT_MAX_READY_SECONDS is "${given}"; it must be a number of seconds above 0.`,
    );
  }
});

test("a secret is never repeated", () => {
  const value = `hf_${"S".repeat(34)}`;
  expect(broken(args({ HF_TOKEN: value })).join()).not.toContain(value);
});

test("loopback is always an allowed registry", () => {
  const tags = ["localhost:5000/facecraft:1.2.0-cpu-0a1b2c3d", "127.0.0.1:5000/facecraft:cpu"];
  expect(broken({ tags })).toEqual([]);
  expect(broken({ tags: [...tags, "localhost.example.org/facecraft:cpu"] })).toHaveLength(1);
});

test("an allowed repository may be named in full, and Docker Hub by its short names", () => {
  const own = { ...context, allowedRegistries: ["ghcr.io/acme/facecraft/", "docker.io/djok"] };
  const allowed = (name: string) => broken({ tags: [`${name}:1.2.0-cpu-0a1b2c3d`] }, { context: own }).length === 0;
  expect(["ghcr.io/acme/facecraft", "djok/facecraft", "index.docker.io/djok/facecraft"].map(allowed)).toEqual([
    true,
    true,
    true,
  ]);
  expect(["ghcr.io/acme/facecraft-other", "djok2/facecraft", "djok"].map(allowed)).toEqual([false, false, false]);
});

test("the environment can name other registries", () => {
  const tags = ["ghcr.io/acme/facecraft:cpu", "ghcr.io/acme/facecraft:1.2.0-cpu-0a1b2c3d"];
  const named = allowedRegistries({ FACECRAFT_ALLOWED_REGISTRIES: "ghcr.io/acme, docker.io/djok" });
  expect(broken({ tags })).toHaveLength(2);
  expect(broken({ tags }, { context: { ...context, allowedRegistries: named } })).toEqual([]);
  expect(allowedRegistries({})).toEqual(defaultRegistries);
});

test("the torch index of a mirror is known by its words", () => {
  expect(broken(args({ TORCH_INDEX_URL: "https://mirror.example.org/pytorch-cpu/simple" }))).toEqual([]);
  expect(broken(args({ TORCH_INDEX_URL: "https://mirror.example.org/cpu/whl/cu118" }))).toHaveLength(1);
});

describe("a release that", () => {
  test("stays on this machine needs no signature", () => {
    const tags = ["localhost:5000/facecraft:cpu", "localhost:5000/facecraft:1.2.0-cpu-0a1b2c3d"];
    expect(broken({ tags }, signing(false, false))).toEqual([]);
  });

  test("is to be signed, and is, breaks no rule", () => {
    expect(broken({}, signing(true, true))).toEqual([]);
  });

  test("is not signed is warned about, unless it was to be: then it is refused", () => {
    const image = viewImage("release", accepted, true);
    expect(judge(image, signing(false, false).context)).toMatchObject([{ rule: "signed-release", mandatory: false }]);
    expect(judge(image, signing(true, false).context)).toMatchObject([{ rule: "sbom-attached", mandatory: true }]);
  });
});
