import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../run.ts";
import { ToolClone } from "./toolClone.ts";

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
  clone.script("pulumi", "exit 0");
});
afterEach(() => clone.remove());

/** What the engine is told where the user has a Pulumi of their own. */
async function environment(env: NodeJS.ProcessEnv = {}): Promise<Record<string, string | undefined>> {
  const script = `
    const { toolEnvironment } = await import("./local/pulumi.ts");
    console.log(JSON.stringify(toolEnvironment()));
  `;
  const command = [process.execPath, "--input-type=module", "-e", script];
  const { text } = await run(command, clone.root, { ...clone.env, ...env });
  return JSON.parse(text);
}

describe("a Pulumi of the user's own", () => {
  test("has its own home and gets its plugins by itself", async () => {
    const env = await environment();
    expect(env.PULUMI_HOME).toBeUndefined();
    expect(env.PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION).toBeUndefined();
  });

  test("takes verified plugins only with FACECRAFT_PINNED_TOOLS=1, and keeps the user's login", async () => {
    const login = join(clone.folder, "home/.pulumi");
    mkdirSync(login, { recursive: true });
    writeFileSync(join(login, "credentials.json"), "{}");
    expect(await environment({ FACECRAFT_PINNED_TOOLS: "1" })).toMatchObject({
      PULUMI_HOME: join(clone.tools, "pulumi-home"),
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_CREDENTIALS_PATH: login,
    });
  });
});
