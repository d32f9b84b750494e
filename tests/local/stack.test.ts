import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

const tools = mkdtempSync(join(tmpdir(), "facecraft-tools-"));
const asked = join(tools, "asked");

beforeAll(() => {
  vi.stubEnv("FACECRAFT_TOOLS", tools);
  writeFileSync(join(tools, "pulumi"), `#!/bin/sh\necho "$@" >${asked}\n`, { mode: 0o755 });
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(tools, { recursive: true });
});

test("a local stack is made once; then Pulumi is not started to ask for it", async () => {
  const { ensureStack } = await import("../../local/pulumi.ts");
  const env = { PATH: `${tools}:${process.env.PATH}` };
  await ensureStack("local", env);
  expect(existsSync(asked)).toBe(true);

  rmSync(asked);
  const stacks = join(tools, "local/state/.pulumi/stacks/facecraft");
  mkdirSync(stacks, { recursive: true });
  writeFileSync(join(stacks, "local.json"), "{}");
  await ensureStack("local", env);
  expect(existsSync(asked)).toBe(false);
  await ensureStack("local-gpu", env);
  expect(existsSync(asked)).toBe(true);
});

test("what an update has published is read from the state, with no start of Pulumi; without a state, Pulumi is asked", async () => {
  const { stackOutputs } = await import("../../local/pulumi.ts");
  const { nextSteps, published } = await import("../../local/nextSteps.ts");
  const env = { PATH: `${tools}:${process.env.PATH}` };
  const state = join(tools, "local/state/.pulumi/stacks/facecraft/local.json");
  const imageRef = "localhost:5000/facecraft:1.0.0-cpu-12345678@sha256:1";
  const resources = [{ type: "other" }, { type: "pulumi:pulumi:Stack", outputs: { imageRef, signature: "" } }];
  writeFileSync(state, JSON.stringify({ version: 3, checkpoint: { latest: { resources } } }));
  rmSync(asked, { force: true });
  const outputs = await stackOutputs("local", true, env);
  expect(existsSync(asked)).toBe(false);
  expect(nextSteps(await published("local", outputs)).slice(0, 2)).toEqual([
    `Published: ${imageRef}`,
    "  make deploy        runs it and prints the address of a page to try it on",
  ]);

  writeFileSync(join(tools, "pulumi"), `#!/bin/sh\necho '{"imageRef":"","args":"'"$*"'"}'\n`, { mode: 0o755 });
  expect(await stackOutputs("cpu", false, env)).toEqual({ imageRef: "", args: "stack output --json --stack cpu" });
});
