import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { home, toolPath } from "../../local/tools.ts";
import { packageVersion } from "../../local/versions.ts";
import { strangersEnvironment } from "./harness.ts";

const top = mkdtempSync(join(tmpdir(), "facecraft-plugins-"));
afterAll(() => rmSync(top, { recursive: true, force: true }));

test("the engine finds a plugin of a user's own Pulumi home, and it counts as the user's", async () => {
  const version = packageVersion("@pulumi/random");
  const folder = `plugins/resource-random-v${version}`;
  const users = join(top, "users");
  await output("mkdir", ["-p", join(users, "plugins")]);
  await output("cp", ["-RL", join(home, folder), join(users, folder)]);

  const script = `import { home, pulumiTools } from ${JSON.stringify(join(root, "local/tools.ts"))};
    const plugin = pulumiTools.find(({ name }) => name === "pulumi-resource-random");
    await plugin.obtain();
    await plugin.obtain();
    console.log(JSON.stringify({ home, origin: plugin.find()?.origin }));`;
  const env = { ...strangersEnvironment(), FACECRAFT_TOOLS: join(top, "tools"), PULUMI_HOME: users };
  const said = JSON.parse(await output(process.execPath, ["--input-type=module", "-e", script], { cwd: root, env }));
  expect(said).toEqual({ home: expect.stringMatching(realpathSync(top)), origin: "yours" });

  const engine = { ...process.env, PATH: toolPath(), PULUMI_HOME: said.home };
  const listed = JSON.parse(await output("pulumi", ["plugin", "ls", "--json"], { env: engine }));
  expect(listed).toMatchObject([{ name: "random", kind: "resource", version }]);
});
