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
