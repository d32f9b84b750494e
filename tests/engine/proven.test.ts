import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { paths } from "../../local/paths.ts";
import { modelNames } from "../../plan/models.ts";
import type { ProofOutput } from "../../plan/proven.ts";
import { run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

let clone: Clone;
let released: Outputs;

beforeAll(async () => {
  clone = await Clone.make();
  expect(await clone.up()).toSucceed();
  released = await clone.outputs();
});
afterAll(() => clone?.remove());

/** Runs the engine under the policy with a bound on the time until a release is ready. */
async function within(seconds: number, command: "preview" | "up") {
  clone.environment.FACECRAFT_MAX_READY_SECONDS = String(seconds);
  const { code, text } = await clone.pulumi(command, "--policy-pack", join(clone.folder, "policy/index.ts"));
  delete clone.environment.FACECRAFT_MAX_READY_SECONDS;
  return { code, text };
}

const tooSlow = /\[mandatory\] +ready-in-time .*\n.*\n.*ready after [\d.]+ s, and maxReadySeconds is 0\.001/;

describe("the proof of a release", () => {
  test("is handed over as the published image says it", () => {
    const { torch, onnxruntime, readySeconds, peakMemoryBytes, ...rest } = released.proof as ProofOutput;
    expect(rest).toEqual({
      ...{ cuda: null, gpu: null, boot: "passed", portrait: "passed", network: "silent", modelsOpened: modelNames },
    });
    expect(torch).toBe("2.0.1+cpu");
    expect(onnxruntime).toMatch(/^\d+\.\d+/);
    expect(readySeconds).toBeGreaterThan(0);
    expect(readySeconds).toBeLessThan(180);
    expect(peakMemoryBytes).toBeGreaterThan(10e6);
  });

  test("is no reason for a change", async () => {
    expect((await clone.up()).text).toContain("10 unchanged");
    expect((await clone.outputs()).proof).toEqual(released.proof);
  });

  test("is told beside the packages", async () => {
    const env = { ...clone.environment, NODE_EXTRA_CA_CERTS: join(paths.tls, "ca.pem") };
    const told = await run(["node", "scripts/constraints.ts", released.imageRef, "--proof"], clone.folder, env);
    expect(told).toSucceed();
    expect(told.text).toMatch(/^# Portrait: passed, answered in \d+\.\d s$/m);
    expect(told.text).toMatch(/^# Models opened: (shape predictor|CodeFormer|u2net human seg|, )+$/m);
    expect(told.text).toMatch(/^# Ready after: \d+\.\d s$/m);
    expect(told.text).toMatch(/^torch==2\.0\.1\+cpu$/m);
  });

  test("bounds what stays as it is, in a preview as in an update", async () => {
    expect(await within(600, "preview")).toSucceed();
    for (const command of ["preview", "up"] as const) {
      const { code, text } = await within(0.001, command);
      expect(text).toMatch(tooSlow);
      expect(code).not.toBe(0);
    }
    expect(await clone.outputs()).toEqual(released);
  });

  test("of another release is known when that is published: the update ends with an error, and names the one before", async () => {
    clone.writeConfig((text) => `${text}\n  facecraft:version: 1.1.0\n  facecraft:network: allowed\n`);
    const preview = await within(0.001, "preview");
    expect(preview).toSucceed();
    expect(preview.text).toContain("facecraft:network is allowed: an application that tries to reach the network");

    const { code, text } = await within(0.001, "up");
    expect(text).toMatch(tooSlow);
    expect(code).not.toBe(0);
    expect(await clone.tags()).toHaveLength(3);

    expect(await clone.up()).toSucceed();
    const { proof, version } = await clone.outputs();
    expect(version).toBe("1.1.0");
    expect(proof).toMatchObject({ portrait: "passed", network: "silent" });
    const { readySeconds, peakMemoryBytes } = released.proof;
    const command = (await clone.resources()).find(({ type }) => type === "command:local:Command");
    expect(JSON.parse(String(command?.outputs?.stdout)).before).toEqual({ readySeconds, peakMemoryBytes });
  });

  test("that was left out leaves nothing to hand over, and is warned of", async () => {
    clone.writeConfig((text) => `${text}\n  facecraft:smokeTest: false\n`);
    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).toContain("facecraft:smokeTest is false: the application is not started in the proof");
    expect((await clone.outputs()).proof).toMatchObject({
      ...{ boot: "off", portrait: "off", network: "off", modelsOpened: [], readySeconds: null, peakMemoryBytes: null },
    });
  });

  test("that lets a model pass which is opened after all stops the release", async () => {
    const tags = await clone.tags();
    clone.writeConfig((text) => `${text}\n  facecraft:unusedModels: [codeformer]\n`);
    const up = await clone.up();
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/CodeFormer .* is listed in facecraft:unusedModels .*, but the application has opened it/);
    expect(await clone.tags()).toEqual(tags);
  });
});
