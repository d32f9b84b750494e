import { describe, expect, test } from "vitest";
import { asImage, parseRelease, secondsToReady } from "../../deploy/release.ts";
import { settingsProblems } from "../../deploy/settings.ts";
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

test("wrong settings are told with what would be right", () => {
  const settings = {
    ...{ imageRef: "facecraft:cpu" },
    ...{ from: "cpu", project: "Face Craft", dockerHost: "server", address: "127.0.0.1", port: 0, memory: "lots" },
    ...{ cpus: 2, gpus: 1, environment: {}, readyWithin: 0, trial: true },
  };
  expect(settingsProblems(settings).map((problem) => problem.split(" ")[0])).toEqual(
    ["from", "imageRef", "project", "dockerHost", "port", "memory"].map((key) => `facecraft-deploy:${key}`),
  );
});
