import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Answer } from "../../artifacts/answer.ts";
import { readEvents } from "../../reports/preview/events.ts";
import { toMarkdown } from "../../reports/preview/markdown.ts";
import { specialSecretSig, specialSigKey, unknownSentinels } from "../../reports/preview/marks.ts";
import { lastProof } from "../../reports/preview/proof.ts";
import { receivedReport } from "../../reports/preview/received.ts";
import { makeReport, unfinishedReport } from "../../reports/preview/report.ts";
import type { LastRelease, Report } from "../../reports/preview/shape.ts";
import { writeReport } from "../../reports/preview/write.ts";
import { hostile, parse, structureOf, tellTales } from "./markdownTree.ts";

const urn = (type: string, name: string) => `urn:pulumi:cpu::facecraft::${type}::${name}`;
const image = "docker-build:index:Image";
const model = "pulumi-nodejs:dynamic/facecraft:ModelChecksum";
const unknownMark = unknownSentinels.UnknownStringValue;
const secretMark = { [specialSigKey]: specialSecretSig, ciphertext: "[secret]" };
const label = (key: string) => `org.opencontainers.image.${key}`;

const pin = "a".repeat(64);
const base = `docker.io/library/python:3.11-slim@sha256:${"b".repeat(64)}`;
const inputs = {
  push: false,
  dockerfile: { location: "docker/Dockerfile.cpu" },
  context: { location: "docker", named: { app: { location: `https://example.org/app.git#${"1".repeat(40)}` } } },
  buildArgs: {
    PYTHON_IMAGE: base,
    TORCH_INDEX_URL: "https://download.pytorch.org/whl/cpu",
    ...Object.fromEntries(
      ["SHAPE_PREDICTOR", "CODEFORMER", "U2NET"].flatMap((arg) => [
        [`${arg}_URL`, `https://example.org/${arg}`],
        [`${arg}_SHA256`, pin],
      ]),
    ),
  } as Record<string, string>,
  labels: {
    [label("source")]: "https://github.com/djok/facecraft",
    [label("version")]: "1.2.0",
    [label("revision")]: "1".repeat(40),
    [label("description")]: "Facecraft",
    [label("licenses")]: "MIT",
    [label("title")]: "facecraft",
    [label("vendor")]: "OBVT Toolbox",
    [label("base.name")]: "python",
    [label("base.digest")]: `sha256:${"b".repeat(64)}`,
  } as Record<string, string>,
  tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.0-cpu-00000000"],
  exports: [{ raw: "type=registry" }],
  secrets: secretMark,
};
const imageRef = `docker.io/djok/facecraft:1.2.0-cpu-00000000@sha256:${"c".repeat(64)}`;

type Inputs = Record<string, unknown>;
const proofInputs: Inputs = { ...inputs, tags: [], exports: [{ cacheonly: {} }] };
const step = (op: string, type: string, name: string, before?: Inputs, after?: Inputs, more: Inputs = {}) => ({
  resourcePreEvent: {
    metadata: {
      ...{ op, urn: urn(type, name), type, ...more },
      old: before && { inputs: before, outputs: before, retainOnDelete: true },
      new: after && { inputs: after, outputs: after, retainOnDelete: true },
    },
  },
});
const models = (op = "same") =>
  ["shapePredictor", "codeformer", "u2net"].map((name) => {
    const state = { title: name, urls: ["https://example.org/x"], sha256: pin, sizeBytes: 1 << 24, file: "/x" };
    return step(op, model, name, state, state);
  });
const stack = {
  resourcePreEvent: {
    metadata: {
      op: "same",
      urn: urn("pulumi:pulumi:Stack", "facecraft-cpu"),
      type: "pulumi:pulumi:Stack",
      old: { outputs: { imageRef } },
      new: {},
    },
  },
};
const done = (result = "succeeded", packs: object = { "facecraft|local|x": "1" }) => ({
  summaryEvent: { PolicyPacks: packs, result },
});
const judged = (name: string) => ({ policyAnalyzeSummaryEvent: { resourceUrn: urn(image, name) } });
const builderSays = (name: string) => ({
  diagnosticEvent: { urn: urn(image, name), severity: "info", message: "#0 building with the builder" },
});

const asLeft: Answer[] = [
  { asked: imageRef, standing: "as left", said: "is in the registry" },
  { asked: "docker.io/djok/facecraft:cpu", standing: "as left", said: "names it" },
];
const released: LastRelease = { isKnown: true, imageRef, answers: asLeft, compressedBytes: 1.5 * 2 ** 30 };

const log = (events: readonly object[]) => [stack, ...events].map((event) => JSON.stringify(event)).join("\n");
function report(...events: object[]) {
  return makeReport("cpu", readEvents(log(events)), released);
}
/** The proof and the release as they are, or as a change makes them. */
const same = [
  step("same", image, "facecraft-proof", proofInputs, proofInputs),
  step("same", image, "facecraft-release", inputs, inputs),
];
const changed = (after: Inputs, more: Inputs = {}) =>
  report(
    ...models(),
    step("update", image, "facecraft-proof", proofInputs, { ...proofInputs, ...after, tags: [], exports: [] }),
    builderSays("facecraft-proof"),
    judged("facecraft-proof"),
    step("update", image, "facecraft-release", inputs, { ...inputs, ...after }, more),
    judged("facecraft-release"),
    done(),
  );

describe("a preview's report", () => {
  test("says in one line that nothing changes", () => {
    const unchanged = report(...models(), ...same, judged("facecraft-proof"), judged("facecraft-release"), done());
    expect(unchanged.result).toBe("unchanged");
    const lines = toMarkdown(unchanged).trim().split("\n");
    expect(lines.slice(4)).toEqual([
      `No change: \`${imageRef}\` stays.`,
      "",
      "All 15 rules hold. Looked at: `facecraft-proof`, `facecraft-release`; applied by the engine (policy pack facecraft) and to the preview.",
    ]);
  });

  test("says what changes and why, old and new", () => {
    const { changes, summary, result } = changed({
      buildArgs: { ...inputs.buildArgs, U2NET_SHA256: pin, TORCH_INDEX_URL: "https://mirror.example.org/whl/cpu" },
      labels: { ...inputs.labels, [label("version")]: "1.3.0", [label("revision")]: "2".repeat(40) },
      tags: ["docker.io/djok/facecraft:cpu", unknownMark],
    });
    expect(result).toBe("changed");
    expect(changes).toEqual([
      { what: "version", from: "1.2.0", to: "1.3.0" },
      { what: "source revision", from: "1".repeat(40), to: "2".repeat(40) },
      { what: "torch index", from: "https://download.pytorch.org/whl/cpu", to: "https://mirror.example.org/whl/cpu" },
    ]);
    expect(summary).toBe(
      "The image was built and proven; an update would publish another release (version, source revision, torch index).",
    );
  });

  test("names the tags that an update would write", () => {
    const { tags } = changed({ tags: ["docker.io/djok/facecraft:cpu", unknownMark], buildArgs: inputs.buildArgs });
    expect(tags).toEqual([
      "docker.io/djok/facecraft:cpu",
      "docker.io/djok/facecraft:1.2.0-cpu-<suffix chosen by the update>",
    ]);
  });

  test("says of a new pin what it was, and judges it against what is verified", () => {
    const other = "d".repeat(64);
    const result = changed({ buildArgs: { ...inputs.buildArgs, U2NET_SHA256: other } });
    expect(result.changes).toEqual([{ what: "pin of u2net human seg", from: pin, to: other }]);
    expect(result.result).toBe("failed");
    expect(result.policy.violations.map(({ rule, resource }) => [rule, resource])).toEqual([
      ["verified-models", "facecraft-proof"],
      ["verified-models", "facecraft-release"],
    ]);
  });

  test("says that the Dockerfile changed when nothing else explains another context", () => {
    const { changes } = changed({}, { diffs: ["contextHash"] });
    expect(changes).toEqual([{ what: "docker/Dockerfile.cpu, or a file beside it", to: "changed" }]);
  });

  test("repeats no secret", () => {
    const text = toMarkdown(
      changed({ buildArgs: { ...inputs.buildArgs, PIP_INDEX_URL: "https://me:hunter2@example.org/s" } }),
    );
    expect(text).not.toContain("hunter2");
    expect(text).toContain("https://***@example.org/s");
    expect(text).toContain("❌ `no-secrets`");
  });

  test("of a failed build quotes the step that failed, though its log ends after the error", () => {
    const proof = urn(image, "facecraft-proof");
    const say = (severity: string, message: string) => ({ diagnosticEvent: { urn: proof, message, severity } });
    const failed = report(
      ...models(),
      say("info", "#7 [venv 1/2] RUN fine\n#8 [venv 2/2] RUN false\n#7 0.1 unrelated"),
      say("error", "<{%reset%}>Preview failed: exit code 1<{%reset%}>"),
      say("error", "preview failed"),
      say("info", "#8 1.0 install-packages: the index does not serve torch\n#8 ERROR: process did not complete"),
      done("failed"),
    );
    expect(failed.result).toBe("failed");
    expect(failed.summary).toBe("This cannot be released: facecraft-proof failed.");
    expect(failed.problems).toEqual([
      {
        resource: "facecraft-proof",
        message: "Preview failed: exit code 1",
        log: [
          "#8 [venv 2/2] RUN false",
          "#8 1.0 install-packages: the index does not serve torch",
          "#8 ERROR: process did not complete",
        ],
      },
    ]);
  });

  test("is red for a release that would not be kept, which a policy pack cannot see", () => {
    const event = step("update", image, "facecraft-release", inputs, inputs);
    (event.resourcePreEvent.metadata.new as Inputs).retainOnDelete = false;
    const { summary } = report(...models(), event, done());
    expect(summary).toBe("This may not be released: it breaks kept-releases.");
  });

  test("tells a violation once that both the pack and the report found", () => {
    const message =
      'The build arg TORCH_INDEX_URL is "https://x/cu118", but the cpu image needs an index of +cpu wheels, such as https://download.pytorch.org/whl/cpu.';
    const { policy } = report(
      ...models(),
      step("update", image, "facecraft-release", inputs, {
        ...inputs,
        buildArgs: { ...inputs.buildArgs, TORCH_INDEX_URL: "https://x/cu118" },
      }),
      {
        policyEvent: {
          policyName: "torch-index",
          resourceUrn: urn(image, "facecraft-release"),
          message: `torch comes from the index of the image's own variant.\n${message}`,
          enforcementLevel: "mandatory",
        },
      },
      done("failed"),
    );
    expect(policy.violations).toEqual([
      { rule: "torch-index", resource: "facecraft-release", message, mandatory: true },
    ]);
  });
});

describe("what a report says of the proof", () => {
  const request = JSON.parse(readFileSync("docker/scripts/portrait.json", "utf8"));
  const asked = { request, boots: true, unusedModels: ["codeformer"], network: "refused", environment: {} };
  const component = (proof: object) =>
    step("same", "facecraft:index:FacecraftImage", "facecraft", undefined, { proof: { gpuProof: "off", ...proof } });
  const gpuLabels = { labels: { ...inputs.labels, "facecraft.proof.gpu": "not proven" } };
  const onGpu = { dockerfile: { location: "docker/Dockerfile.gpu" }, ...gpuLabels };
  const rowsOf = (proof: object, image: Inputs = {}) => {
    const release = step("create", "docker-build:index:Image", "facecraft-release", undefined, { ...inputs, ...image });
    return report(component({ ...asked, ...proof }), ...models(), release, done()).proof.map(({ what, is }) => [
      what,
      is,
    ]);
  };
  const portrait = "POST /api/v1/process/quick with astronaut.png must answer 200, image/png, 648x648";

  test("is what the image has to show", () => {
    expect(rowsOf({})).toEqual([
      ["portrait", portrait],
      ["models that must be opened", "shape predictor, u2net human seg"],
      ["models that must not", "CodeFormer"],
      ["network", "refused"],
    ]);
    expect(rowsOf({ unusedModels: [], network: "allowed", environment: { A: "1", B: "x y" } })).toEqual([
      ["portrait", portrait],
      ["models that must be opened", "shape predictor, CodeFormer, u2net human seg"],
      ["network", "allowed"],
      ["environment", "A=1, B=x y"],
    ]);
    expect(rowsOf({ boots: false })).toEqual([
      ["portrait", "none: the application is not started"],
      ["network", "not watched"],
    ]);
    expect(report(...models(), ...same, done()).proof).toEqual([]);
  });

  test.each([
    [{ gpuProof: "auto" }, "auto: not proven on one"],
    [{ gpuProof: "auto", gpu: "NVIDIA A10, driver 535.104.05" }, "auto: NVIDIA A10, driver 535.104.05"],
    [{ gpuProof: "required", gpu: "NVIDIA A10, driver 535.104.05" }, "required: NVIDIA A10, driver 535.104.05"],
    [{ gpuProof: "off" }, "off: not proven on one"],
  ])("is on which GPU: %j", (proof, said) => {
    expect(rowsOf(proof, onGpu).at(-1)).toEqual(["GPU", said]);
  });

  test("names the build args of the proof where they change", () => {
    const args = { UNUSED_MODELS: "/x", PROOF_NETWORK: "allowed", PROOF_ENVIRONMENT: "A=1" };
    expect(changed({ buildArgs: { ...inputs.buildArgs, ...args } }).changes).toEqual([
      { what: "models that need not be opened", to: "/x" },
      { what: "network in the proof", to: "allowed" },
      { what: "environment of the proof", to: "A=1" },
    ]);
  });

  /** What the state says of the last release, and of the one before it. */
  const known = (proof: unknown, stdout: unknown) => {
    const outputs = { imageRef, proof };
    const released = { resourcePreEvent: { metadata: { ...stack.resourcePreEvent.metadata, old: { outputs } } } };
    const compared = step("same", "command:local:Command", "facecraft-published", { stdout }, { stdout });
    return lastProof(readEvents([released, compared].map((event) => JSON.stringify(event)).join("\n")));
  };
  const measured = { readySeconds: 1.84, peakMemoryBytes: 412_345_678 };
  const before = { readySeconds: 1.5, peakMemoryBytes: 400_000_000 };

  test("is how the last release behaved, and the one before it", () => {
    expect(known(measured, JSON.stringify({ proof: measured, before }))).toEqual({ ...measured, before });
    const made = makeReport("cpu", readEvents(log([component(asked), ...models(), ...same, done()])), {
      ...released,
      proof: { ...measured, before },
      answers: [{ asked: "x", standing: "changed", said: "is gone" }],
    });
    expect(toMarkdown(made)).toContain("| last release, ready after | 1.8 s (the one before: 1.5 s) |");
    expect(toMarkdown(made)).toContain("| last release, memory at most | 412.3 MB (the one before: 400.0 MB) |");
    expect(toMarkdown({ ...made, last: { ...made.last, proof: measured } })).toContain("| 1.8 s |");
  });

  test("comes with the known vulnerabilities of the last release, where a scanner has looked for them", () => {
    const made = (vulnerabilities: LastRelease["vulnerabilities"]) => {
      const last = {
        ...released,
        ...(vulnerabilities && { vulnerabilities }),
        answers: [{ ...asLeft[0], standing: "changed" }],
      };
      return toMarkdown(
        makeReport("cpu", readEvents(log([component(asked), ...models(), ...same, done()])), last as LastRelease),
      );
    };
    const one = { id: "CVE-2024-1", package: "torch", version: "2.0.1+cpu", severity: "high" };
    const shown = made({ scanner: "grype", found: [one] });
    expect(shown).toContain("### Known vulnerabilities of the last release (1)\n");
    expect(shown).toMatch(/\| \S*CVE-2024-1\S* \| .*torch.* \| .*high.* \|/);
    expect(made({ scanner: "grype", found: [] })).toContain("grype knows none.");
    expect(made({ scanner: "grype", trouble: "no database" })).toContain("They are not known: no database");
    expect(made(undefined)).not.toContain("Known vulnerabilities");
  });

  test.each<[string, unknown, unknown, unknown]>([
    ["a stack of an earlier version", undefined, '{"torch":"2.0.1+cpu","packages":{}}', undefined],
    ["a release without a smoke test", { readySeconds: null, peakMemoryBytes: null }, "{}", undefined],
    ["a first release", measured, JSON.stringify({ proof: measured }), measured],
    ["a command whose words are secret", measured, secretMark, measured],
  ])("is nothing that the state does not say: %s", (_what, proof, stdout, said) => {
    expect(known(proof, stdout)).toEqual(said);
  });
});

describe("the bound on the time until a release is ready", () => {
  const limits = { allowedRegistries: ["docker.io/djok"], maxReadySeconds: 2 };
  const last = (readySeconds?: number): LastRelease => ({
    ...released,
    ...(readySeconds && { proof: { readySeconds, peakMemoryBytes: 4e8 } }),
  });
  const judgedBy = (events: object[], readySeconds?: number) =>
    makeReport("cpu", readEvents(log([...models(), ...events, done()])), last(readySeconds), limits);

  test("is kept or broken by the release that stays", () => {
    expect(judgedBy(same, 1.9)).toMatchObject({ result: "unchanged", policy: { undecided: [], violations: [] } });
    const slow = judgedBy(same, 2.1);
    expect(slow).toMatchObject({ result: "failed", summary: "This may not be released: it breaks ready-in-time." });
    expect(slow.policy.violations.map(({ message }) => message)).toEqual([
      "In its proof the image was ready after 2.1 s, and maxReadySeconds is 2. Find out what its start waits for, or allow more.",
    ]);
  });

  test("is not decided by a release that says nothing, or for another one, which its own proof will tell of", () => {
    const labels = { ...inputs.labels, [label("description")]: "Another" };
    const next = [same[0] as object, step("update", image, "facecraft-release", inputs, { ...inputs, labels })];
    for (const { result, policy } of [judgedBy(same), judgedBy(next, 2.1)]) {
      expect(policy.undecided).toEqual(["ready-in-time"]);
      expect(result).not.toBe("failed");
    }
  });
});

test("a rule weighs what a pack's config has made of it", () => {
  const buildArgs = { ...inputs.buildArgs, PYTHON_IMAGE: "python:3.11-slim" };
  const message =
    'The base PYTHON_IMAGE is "python:3.11-slim", which has no digest. Pin it: `pulumi config set --path ' +
    "facecraft:baseImages.python <name>:<tag>@sha256:<digest>`.";
  const said = (enforcementLevel: string) =>
    report(
      ...models(),
      step("update", image, "facecraft-release", inputs, { ...inputs, buildArgs }),
      {
        policyEvent: {
          ...{ policyName: "pinned-base", resourceUrn: urn(image, "facecraft-release"), enforcementLevel },
          message: `An image stands on bases that are pinned by digest.\n${message}`,
        },
      },
      done(),
    );
  expect(said("mandatory")).toMatchObject({ result: "failed", policy: { violations: [{ message, mandatory: true }] } });
  expect(said("advisory")).toMatchObject({
    result: "changed",
    policy: { violations: [{ message, mandatory: false }] },
  });
});

test("a gpu image that no GPU has proven is warned of, and released", () => {
  const gpu: Inputs = {
    ...inputs,
    dockerfile: { location: "docker/Dockerfile.gpu" },
    buildArgs: {
      ...inputs.buildArgs,
      CUDA_RUNTIME_IMAGE: base,
      TORCH_INDEX_URL: "https://download.pytorch.org/whl/cu118",
    },
    labels: { ...inputs.labels, "facecraft.proof.gpu": "not proven" },
    tags: ["docker.io/djok/facecraft:gpu", "docker.io/djok/facecraft:1.2.0-gpu-00000000"],
  };
  const made = report(...models(), step("create", image, "facecraft-release", undefined, gpu), done());
  expect(made.result).toBe("changed");
  expect(toMarkdown(made)).toContain("- ⚠️ `proven-on-gpu` (`facecraft-release`): The label `facecraft.proof.gpu` is");
  expect(toMarkdown(made)).toContain("14 of 15 rules hold; 1 broken that only warn");
});

describe("a report says nothing that was not evaluated:", () => {
  test("a program that fails before any image has not kept any rule", () => {
    const urnOfStack = { urn: "", severity: "error", message: "facecraft:varaint is not a config key" };
    const failed = report({ diagnosticEvent: urnOfStack }, done("failed", {}));
    expect(failed.result).toBe("failed");
    expect(failed.summary).toBe("This cannot be released: the program failed.");
    expect(toMarkdown(failed)).toContain("No image was looked at: 0 of 15 rules were applied.");
    expect(toMarkdown(failed)).not.toMatch(/rules hold/);
  });

  test("with the proof alone, the rules for releases were not applied", () => {
    const { policy } = report(
      ...models(),
      step("update", image, "facecraft-proof", proofInputs, proofInputs),
      done("failed", {}),
    );
    expect(policy.images).toEqual(["facecraft-proof"]);
    expect(policy.notApplied).toEqual([
      "immutable-tag",
      "labels",
      "kept-releases",
      "proven-on-gpu",
      "ready-in-time",
      "signed-release",
      "sbom-attached",
    ]);
  });

  test("a tag that the update chooses leaves the rules about tags undecided", () => {
    const { policy } = changed({ tags: ["docker.io/djok/facecraft:cpu", unknownMark] });
    expect(policy.undecided).toEqual(["no-latest-tag", "immutable-tag", "allowed-registries"]);
    expect(toMarkdown(changed({ tags: ["docker.io/djok/facecraft:cpu", unknownMark] }))).toContain(
      "12 of 15 rules hold; not decided, because what they judge is secret or chosen by the update: `no-latest-tag`,",
    );
  });

  test("a secret index, which the log masks, is of no other variant; that it is a secret in a build arg is told", () => {
    const { policy } = changed({ buildArgs: { ...inputs.buildArgs, TORCH_INDEX_URL: "[secret]" } });
    expect(new Set(policy.violations.map(({ rule }) => rule))).toEqual(new Set(["no-secrets"]));
    expect(policy.undecided).toEqual(["torch-index"]);
  });

  test("a pack that was not asked about every image does not count as applied to it", () => {
    const partly = report(...models(), ...same, judged("facecraft-proof"), done());
    expect(partly.policy.appliedBy).toBe(
      "to what the preview shows (policy pack facecraft was not asked about every image)",
    );
  });

  test("an image that no builder built in this preview was not built and proven by it", () => {
    const labels = { ...inputs.labels, [label("description")]: "Another" };
    const { summary } = report(
      ...models(),
      same[0] as object,
      step("update", image, "facecraft-release", inputs, { ...inputs, labels }),
      done(),
    );
    expect(summary).toBe(
      "The image was proven by the last update; an update would publish another release (label description).",
    );
    const skipped = report(
      ...models(),
      step("update", image, "facecraft-proof", proofInputs, proofInputs),
      step("update", image, "facecraft-release", inputs, { ...inputs, labels }),
      done(),
    );
    expect(skipped.summary).toMatch(/^The image was not built by this preview; /);
  });

  test("an image that is not pushed is no release", () => {
    const exports = [{ cacheonly: {} }];
    expect(changed({ exports }).summary).toBe(
      "The image was built and proven; an update would publish nothing, because facecraft:push is false.",
    );
  });

  test("an engine that was killed has not finished, however good it looked until then", () => {
    const text = log([...models(), ...same]);
    const killed = makeReport("cpu", readEvents(`${text}\n{"summaryEvent":{"resu`), released, undefined, 137);
    expect(killed).toMatchObject({ result: "failed", summary: "This preview did not finish." });
  });

  test("an engine that ended badly without a reason is not green", () => {
    const failed = makeReport("cpu", readEvents(log([...models(), ...same, done()])), released, undefined, 255);
    expect(failed).toMatchObject({
      result: "failed",
      summary: "This preview failed without a reason: the engine ended with exit code 255.",
    });
  });

  test("a change of a provider's own config is no change of the stack", () => {
    const provider = step("update", "pulumi:providers:pulumi-nodejs", "default", {}, { a: 1 });
    expect(report(...models(), ...same, provider, done())).toMatchObject({
      result: "unchanged",
      resources: { same: 6 },
    });
  });
});

describe("a report says what is not as the last update left it:", () => {
  const withAnswers = (...answers: Answer[]) =>
    makeReport("cpu", readEvents(log([...models(), ...same, done()])), { ...released, answers });

  test("an image that is gone, though nothing in the plan changes", () => {
    const gone: Answer = { asked: imageRef, standing: "changed", said: "is gone from the registry" };
    const { result, summary } = withAnswers(gone);
    expect(result).toBe("changed");
    expect(summary).toBe(
      `No change: nothing would be published in place of ${imageRef}. ` +
        `Not as the last update left it: ${imageRef} is gone from the registry. The next \`make up\` puts that right.`,
    );
  });

  test("an image that is gone, and that the update would publish again", () => {
    const refresh = step("refresh", image, "facecraft-release", inputs);
    const create = step("create", image, "facecraft-release", undefined, inputs);
    const { summary, changes } = report(refresh, ...models(), same[0] as object, create, done());
    expect(summary).toMatch(
      /an update would publish it in place of the last release, which is gone from the registry\.$/,
    );
    expect(changes).toEqual([]);
  });

  test("a registry that does not say, which is not the same as good news", () => {
    const answers = asLeft.map(({ asked }): Answer => ({ asked, standing: "not known", said: "it answered 401" }));
    const unknown = withAnswers(...answers);
    expect(unknown.result).toBe("unchanged");
    expect(unknown.summary).toMatch(
      /^No change: nothing would be published .*It is not known what became of .*: it answered 401\.$/,
    );
    expect(toMarkdown(unknown)).toContain("| **not known** |");
  });

  test("what was attached to the release and is gone, in the headline", () => {
    const type = "pulumi-nodejs:dynamic/facecraft:ReleaseSignature";
    const drifted = { signature: "r@sha256:1", drift: "The signature r@sha256:1 is gone" };
    const { summary } = report(...models(), ...same, step("update", type, "facecraft-signature", drifted, {}), done());
    expect(summary).toContain("Not as the last update left it: The signature r@sha256:1 is gone.");
  });

  test("a model that upstream replaced, in the headline and in the table alike", () => {
    const state = { title: "CodeFormer", urls: ["https://example.org/x"], sha256: pin, file: "/x" };
    const drifted = { ...state, drift: "CodeFormer: upstream removed https://example.org/x" };
    const events = ["shapePredictor", "u2net"].map((name) => step("same", model, name, state, state));
    const { summary, models: rows } = report(
      step("refresh", model, "codeformer", state, drifted),
      step("update", model, "codeformer", drifted, state),
      ...events,
      ...same,
      done(),
    );
    expect(summary).toBe(
      "The image stays as it is; only what is around it changes. " +
        "Upstream no longer serves CodeFormer as pinned: an update fails while that is so.",
    );
    expect(rows.find(({ name }) => name === "codeformer")).toMatchObject({ state: "unchanged", upstream: "drifted" });
    expect(rows.find(({ name }) => name === "u2net")).toMatchObject({ upstream: "not asked" });
  });

  test("a model whose upstream could not be asked", () => {
    const state = { title: "CodeFormer", urls: ["https://example.org/x"], sha256: pin, file: "/x" };
    const message = "CodeFormer: https://example.org/x cannot be fetched: 503; nothing is known about drift.\n\n";
    const { models: rows } = report(
      step("refresh", model, "codeformer", state, state),
      { diagnosticEvent: { severity: "info#err", message } },
      step("same", model, "codeformer", state, state),
      ...same,
      done(),
    );
    expect(rows).toMatchObject([{ name: "codeformer", upstream: "not known" }]);
  });
});

test.each(["same", "update"])("a report of an image that is (op: %s) tells each warning once, as data", (op) => {
  const message = "<{%fg 3%}>The application differs from its commit: src/a.py, src/`@somebody`.py<{%reset%}>";
  const warning = { diagnosticEvent: { urn: urn(image, "facecraft-release"), severity: "warning", message } };
  const made = report(...models(), step(op, image, "facecraft-release", inputs, inputs), warning, warning, done());
  expect(made.warnings).toEqual(["The application differs from its commit: src/a.py, src/`@somebody`.py"]);
  const markdown = toMarkdown(made);
  expect(markdown).toContain("### Warnings\n\n- ⚠️ The application differs from its commit: `src/a.py`,");
  expect(markdown).toContain("``src/`@somebody`.py``");
});

test("a base that the builder's policy refuses is told in our own sentence", () => {
  const message =
    'failed to solve: could not resolve image due to policy: source "docker-image://docker.io/library/python:3.11-slim" not allowed by policy: action DENY';
  const refused = report(
    { diagnosticEvent: { urn: urn(image, "facecraft-proof"), severity: "error", message } },
    done("failed"),
  );
  const hint =
    "The base image docker.io/library/python:3.11-slim has no digest. Pin it as `name:tag@sha256:<digest>`, or run `make update-bases`.";
  expect(refused.problems).toMatchObject([{ hint }]);
  expect(toMarkdown(refused)).toContain(hint.replace("docker.io/library/python:3.11-slim", "`$&`"));
});

test("the sentinels are those of the SDK, as far as it names them", () => {
  expect(unknownSentinels.UnknownStringValue).toBe(pulumi.runtime.unknownValue);
  expect(specialSigKey).toBe(pulumi.runtime.specialSigKey);
  expect(specialSecretSig).toBe(pulumi.runtime.specialSecretSig);
});

describe("a report on disk", () => {
  test("says that the preview did not finish until it has, and is then replaced as a whole", async () => {
    const folder = mkdtempSync(join(tmpdir(), "facecraft-report-"));
    const green = report(...models(), ...same, done());
    await writeReport(folder, green);
    await writeReport(folder, unfinishedReport("cpu"));
    const text = readFileSync(join(folder, "cpu.md"), "utf8");
    expect(text).toContain("This preview did not finish: nothing was evaluated.");
    expect(text).toContain("No image was looked at: 0 of 15 rules were applied.");
    expect(text).not.toMatch(/hold|stays|no earlier state/);
    expect(JSON.parse(readFileSync(join(folder, "cpu.json"), "utf8"))).toEqual(unfinishedReport("cpu"));
    const { markdown } = await writeReport(folder, green);
    expect(readFileSync(markdown, "utf8")).toBe(toMarkdown(green));
    expect(readdirSync(folder).sort()).toEqual(["cpu.json", "cpu.md"]);
    rmSync(folder, { recursive: true });
  });
});

// A pull request may write whatever it likes into what a preview shows, and into the report itself.
describe("the page of a report", () => {
  const answer = fc.record({
    asked: hostile,
    standing: fc.constantFrom("as left", "changed", "not known"),
    said: hostile,
  });
  const texts = fc.record({
    stack: fc.constantFrom("cpu", "gpu"),
    result: fc.constantFrom("unchanged", "changed", "failed"),
    summary: hostile,
    changes: fc.array(fc.record({ what: hostile, from: hostile, to: hostile }), { maxLength: 3 }),
    resources: fc.dictionary(hostile, fc.nat(), { maxKeys: 2 }),
    tags: fc.array(hostile, { maxLength: 2 }),
    last: fc.record({
      isKnown: fc.constant(true),
      imageRef: hostile,
      note: hostile,
      vulnerabilities: fc.oneof(
        fc.record({ scanner: hostile, trouble: hostile }),
        fc.record({
          scanner: hostile,
          found: fc.array(fc.record({ id: hostile, package: hostile, version: hostile, severity: hostile }), {
            maxLength: 2,
          }),
        }),
      ),
      answers: fc.array(answer, { maxLength: 3 }),
      proof: fc.record({
        readySeconds: fc.nat(),
        peakMemoryBytes: fc.nat(),
        before: fc.record({ readySeconds: fc.nat(), peakMemoryBytes: fc.nat() }),
      }),
    }),
    models: fc.array(
      fc.record({
        name: hostile,
        title: hostile,
        file: hostile,
        sha256: hostile,
        url: hostile,
        before: hostile,
        state: fc.constant("changed"),
        upstream: fc.constant("as pinned"),
      }),
      { maxLength: 2 },
    ),
    proof: fc.array(fc.record({ what: hostile, is: hostile }), { maxLength: 3 }),
    policy: fc.record({
      rules: fc.constant(15),
      images: fc.array(hostile, { maxLength: 2 }),
      undecided: fc.array(hostile, { maxLength: 2 }),
      notApplied: fc.array(hostile, { maxLength: 2 }),
      appliedBy: hostile,
      violations: fc.array(fc.record({ rule: hostile, resource: hostile, message: hostile, mandatory: fc.boolean() }), {
        maxLength: 3,
      }),
    }),
    problems: fc.array(
      fc.record({
        resource: hostile,
        message: hostile,
        log: fc.array(hostile, { minLength: 1, maxLength: 3 }),
        hint: hostile,
      }),
      { maxLength: 2 },
    ),
    warnings: fc.array(hostile, { maxLength: 2 }),
  }) as unknown as fc.Arbitrary<Report>;

  /** The same report in plain words: what is empty stays so, and what is alike stays alike. */
  function tame(report: Report): Report {
    const kept = ["", "cpu", "gpu", "unchanged", "changed", "failed", "as left", "not known", "as pinned"];
    const words = new Map(kept.map((word) => [word, word]));
    const plain = (text: string) => {
      const word =
        words.get(text) ?? `word${words.size}`.replaceAll(/\d/g, (digit) => "klmnopqrst"[Number(digit)] ?? "");
      words.set(text, word);
      return word;
    };
    return JSON.parse(JSON.stringify(report), (_key, item) => (typeof item === "string" ? plain(item) : item));
  }

  test("has the structure of a harmless one of the same shape, whatever its texts say", () => {
    fc.assert(
      fc.property(texts, (made) => {
        const tree = parse(toMarkdown(made));
        expect(structureOf(tree)).toEqual(structureOf(parse(toMarkdown(tame(made)))));
        expect(tellTales(tree)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("is the same when its data came from a pull request", () => {
    fc.assert(
      fc.property(texts, (made) => {
        expect(toMarkdown(receivedReport(JSON.stringify(made), made.stack) as Report)).toBe(toMarkdown(made));
      }),
    );
  });

  test("is made of anything that came instead of a report's data, or there is none", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const made = receivedReport(text, "cpu");
        expect(made && typeof toMarkdown(made)).toBeOneOf([undefined, "string"]);
      }),
    );
    expect(receivedReport("no JSON", "cpu")).toBeUndefined();
    const huge = receivedReport('{"summary":"","last":{"imageRef":"x","compressedBytes":1e300}}', "cpu");
    expect(toMarkdown(huge as Report)).toContain("| its size, compressed | 281.5 TB");
    expect(toMarkdown(receivedReport('{"summary":1,"changes":{"a":1},"problems":[null]}', "cpu") as Report)).toContain(
      "🔴",
    );
  });

  test("fits into a comment, however much there is to say", () => {
    const long = "`|\u202e".repeat(1000);
    const made = changed({ buildArgs: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`ARG_${i}`, long])) });
    const problem = { resource: long, message: `${long}\n`.repeat(500), log: Array.from({ length: 500 }, () => long) };
    const text = toMarkdown({ ...made, problems: Array.from({ length: 50 }, () => problem) });
    expect(text.length).toBeLessThan(60_000);
    expect(text).toContain("more");
  });
});
