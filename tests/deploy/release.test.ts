import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asImage, parseRelease, secondsToReady } from "../../deploy/release.ts";
import { outputs } from "./outputs.ts";

const stack = "organization/facecraft/cpu";
const fault = (given: Record<string, unknown>) => {
  try {
    parseRelease(given, stack);
  } catch (error) {
    return (error as Error).message;
  }
  return "none";
};

describe("the outputs of an image stack", () => {
  test("are taken over as they are, and outputs of a newer version are left aside", () => {
    expect(parseRelease({ ...outputs(), somethingNew: 1 }, stack)).toEqual(outputs());
  });

  test("are found in a deploy stack that has proven them", () => {
    expect(parseRelease({ release: outputs(), url: "http://x" }, "organization/facecraft-deploy/staging")).toEqual(
      outputs(),
    );
  });

  test("that are missing are named", () => {
    const { healthcheck: _, digest: __, ...older } = outputs();
    expect(fault(older)).toBe(
      `The stack ${stack} has no output digest, healthcheck: it was last updated by another version of the image program. Run \`pulumi up\` there.`,
    );
    expect(fault({})).toContain("has none of the outputs of a Facecraft image stack");
  });

  test("of an older shape are refused, each with what it is and what it must be", () => {
    const older = {
      ...outputs(),
      healthcheck: { ...outputs().healthcheck, interval: 30, retries: undefined },
      tags: "cpu",
    };
    expect(fault(older).split("\n")).toEqual([
      `The stack ${stack} cannot be deployed: tags is "cpu", but it must be a list.`,
      `The stack ${stack} cannot be deployed: healthcheck.interval is 30, but it must be a duration such as 30s.`,
      `The stack ${stack} cannot be deployed: healthcheck.retries is not there, but it must be a number above 0.`,
    ]);
  });

  test.each(["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft@sha256:abc"])(
    "that are not pinned: %s",
    (imageRef) => {
      expect(fault({ ...outputs(), imageRef })).toContain("must be pinned by digest");
    },
  );

  test("whose digest is not the one of the reference are refused", () => {
    expect(fault({ ...outputs(), digest: `sha256:${"f".repeat(64)}` })).toContain("must end in @sha256:fff");
  });

  test.each([
    [{ tags: [null] }, "tags is [null], but it must be a list of tags."],
    [{ labels: { a: 5 } }, "labels.a is 5, but it must be a string."],
    [{ labels: [] }, "labels is [], but it must be an object."],
    [{ healthcheck: null }, /healthcheck is null, but it must be an object {path, port, interval/],
    [
      { models: { u2net: { file: "/x", url: "https://x", sha256: "b", sizeBytes: 0 } } },
      /models\.u2net\.sizeBytes is 0/,
    ],
    [
      { models: { u2net: "https://u:hunter2@x/y" } },
      /models\.u2net is "https:\/\/\*\*\*@x\/y", but it must be an object/,
    ],
    [{ variant: "tpu" }, 'variant is "tpu", but it must be cpu or gpu.'],
    [{ digest: 5 }, "digest is 5, but it must be sha256:<64 hex digits>."],
    [
      { healthcheck: { ...outputs().healthcheck, interval: "1".repeat(200_000) } },
      /healthcheck\.interval is "1+… \(200000 characters\)", but it must be a duration/,
    ],
    [{ version: " " }, 'version is " ", but it must be a string.'],
  ])("of another shape are refused in one sentence: %j", (change, sentence) => {
    const told = fault({ ...outputs(), ...change } as Record<string, unknown>);
    expect(told.split("\n")).toHaveLength(1);
    expect(told.replace(`The stack ${stack} cannot be deployed: `, "")).toMatch(sentence);
  });

  test("of an earlier version, which say nothing of their proof, are taken over", () => {
    const { proof: _, ...older } = outputs();
    expect(parseRelease(older, stack)).toEqual({ ...older, proof: {} });
    expect(parseRelease({ ...older, proof: {} }, stack)).toEqual({ ...older, proof: {} });
  });

  test.each([
    [{ proof: null }, /proof is null, but it must be an object {torch, cuda/],
    [{ proof: { portrait: "maybe" } }, 'proof.portrait is "maybe", but it must be passed or off.'],
    [{ proof: { modelsOpened: "u2net" } }, 'proof.modelsOpened is "u2net", but it must be a list.'],
    [{ proof: { gpu: { name: "A10" } } }, /proof\.gpu\.capability is not there, but it must be a string/],
    [{ proof: { readySeconds: -1 } }, "proof.readySeconds is -1, but it must be a number above 0."],
  ])("whose proof is of another shape are refused: %j", (change, sentence) => {
    expect(fault({ ...outputs(), ...change }).split("\n")[0]).toMatch(sentence);
  });

  test("of any shape are told in sentences", () => {
    const keys = fc.constantFrom(...Object.keys(outputs()));
    fc.assert(
      fc.property(keys, fc.jsonValue(), (key, value) => {
        const told = fault({ ...outputs(), [key]: value });
        expect(told).toMatch(new RegExp(`^(none$|The stack ${stack} cannot be deployed: ${key})`));
      }),
    );
  });

  test("of a stack that publishes nothing say so", () => {
    expect(fault({ ...outputs(), imageRef: "", digest: "" })).toBe(
      `The stack ${stack} cannot be deployed: it has published nothing (facecraft:push is false). Publish a release, then deploy it.`,
    );
  });
});

test("a release may take as long to get ready as its health check allows", () => {
  expect(secondsToReady(outputs().healthcheck)).toBe(300);
  expect(secondsToReady({ ...outputs().healthcheck, startPeriod: "1m30s", interval: "500ms", timeout: "500ms" })).toBe(
    93,
  );
});

describe("going back", () => {
  const digest = `sha256:${"e".repeat(64)}`;
  test("runs an earlier release of the same image", () => {
    const earlier = `docker.io/djok/facecraft:1.1.0-cpu-99999999@${digest}`;
    expect(asImage(outputs(), earlier)).toMatchObject({
      imageRef: earlier,
      digest,
      version: "1.1.0",
      revision: "unknown",
    });
  });

  test.each(["docker.io/djok/other:1.1.0-cpu-99999999", "docker.io/djok/facecraft:1.1.0-gpu-99999999"])(
    "refuses %s",
    (name) => {
      expect(() => asImage(outputs(), `${name}@${digest}`)).toThrow(
        "it must be docker.io/djok/facecraft:<version>-cpu-<suffix>@sha256:<digest>.",
      );
    },
  );
});
