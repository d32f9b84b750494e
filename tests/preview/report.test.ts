import { describe, expect, test } from "vitest";
import { withoutSecrets } from "../../local/previewReport.ts";
import { readEvents } from "../../preview/events.ts";
import { toMarkdown } from "../../preview/markdown.ts";
import { makeReport } from "../../preview/report.ts";

const urn = (type: string, name: string) => `urn:pulumi:cpu::facecraft::${type}::${name}`;
const image = "docker-build:index:Image";
const model = "pulumi-nodejs:dynamic/facecraft:ModelChecksum";
const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const secretMark = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", ciphertext: "[secret]" };
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
const done = (result = "succeeded") => ({ summaryEvent: { PolicyPacks: { "facecraft|local|x": "1" }, result } });

function report(...events: object[]) {
  const all = [stack, ...events].map((event) => JSON.stringify(event)).join("\n");
  return makeReport("cpu", readEvents(all), { imageRef, compressedBytes: 1.5 * 2 ** 30 });
}
const changed = (after: Inputs, more: Inputs = {}) =>
  report(...models(), step("update", image, "facecraft-release", inputs, { ...inputs, ...after }, more), done());

describe("a preview's report", () => {
  test("says in one line that nothing changes", () => {
    const unchanged = report(...models(), step("same", image, "facecraft-release", inputs, inputs), done());
    expect(unchanged.result).toBe("unchanged");
    const lines = toMarkdown(unchanged).trim().split("\n");
    expect(lines.at(-1)).toBe(
      `No change: ${imageRef} stays. All 11 rules hold, applied by the engine (policy pack facecraft) and to the preview.`,
    );
    expect(lines).toHaveLength(5);
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
    expect(result.policy.violations.map(({ rule }) => rule)).toEqual(["verified-models"]);
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
    expect(text).toContain("**no-secrets**");
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

  test("keeps the pull request's words out of the page's markup", () => {
    const { buildArgs } = inputs;
    const text = toMarkdown(changed({ buildArgs: { ...buildArgs, X: "`|<img src=x> @everyone\n## hi" } }));
    expect(text).toContain("`'\\|<img src=x> @everyone ## hi`");
  });
});

test("a preview without a backend leaves out what only that backend could decrypt", () => {
  const config = [
    "encryptionsalt: v1:abc",
    "config:",
    "  facecraft:variant: cpu",
    "  facecraft:registryAuth:",
    "    address: docker.io",
    "    password:",
    "      secure: v1:xyz",
    "  facecraft:version: 1.2.0",
    "",
  ].join("\n");
  expect(withoutSecrets(config)).toBe("config:\n  facecraft:variant: cpu\n  facecraft:version: 1.2.0\n");
});
