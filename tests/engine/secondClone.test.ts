import { cpSync, existsSync, mkdtempSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { keepBase } from "../../local/base.ts";
import { wanted } from "../../local/buildCache.ts";
import { paths, root, tools } from "../../local/paths.ts";
import { keepTagged } from "../../local/registryFiles.ts";
import { removeTree } from "../../local/rootless.ts";
import { keepArtifacts } from "../../local/standins/models/models.ts";
import { pulumiTools, serviceTools } from "../../local/tools.ts";
import { type Result, run } from "../run.ts";
import { Clone, strangersEnvironment } from "./harness.ts";

let folder: string;
let ports: Record<string, number>;

const second = () => join(folder, "clone");
const own = () => join(folder, "tools");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-second-"));
  vi.stubEnv("FACECRAFT_CACHE", join(folder, "cache"));
  vi.stubEnv("FACECRAFT_SHARED_CACHE", join(folder, "none"));
  // The first clone: what it has built, and what it was built with, goes to the cache. Then it is gone.
  const first = await Clone.make();
  try {
    const repository = first.repository.replace(/\/facecraft$/, "/cache");
    first.writeConfig((text) => text.replace(/^config:\n/m, `$&  facecraft:cacheRepository: ${repository}\n`));
    expect(await first.up()).toSucceed();
    for (const tool of [...serviceTools, ...pulumiTools]) {
      await tool.keep?.();
    }
    await keepBase();
    await keepArtifacts();
    const { models } = await first.outputs();
    ports = { artifacts: Number(new URL(models.codeformer?.url ?? "").port), wheels: first.ports.wheels };
    const tagged = { repository: repository.slice(repository.indexOf("/") + 1), tag: "buildcache-cpu" };
    expect(await keepTagged(wanted("cpu"), tagged, { ...ports, tools: join(folder, "gone") })).toBe(true);
    cpSync(first.folder, second(), { recursive: true, filter: (path) => !path.endsWith("node_modules") });
    symlinkSync(join(root, "node_modules"), join(second(), "node_modules"));
  } finally {
    first.remove();
  }
});

afterAll(async () => {
  await command("down");
  vi.unstubAllEnvs();
  // What an ordinary user's builder has made belongs to other ids.
  await removeTree(folder);
});

/** A command of the second clone, which has none of the first one's programs on its PATH. */
function command(name: string): Promise<Result> {
  const env = { ...strangersEnvironment(), FACECRAFT_TOOLS: own(), STACK: "local" };
  return run([process.execPath, "local/cli.ts", name], second(), env);
}

test("a second clone builds nothing that the first one has built, and publishes the same layers", async () => {
  const up = await command("up");
  expect(up).toSucceed();
  for (const { name, keep } of [...serviceTools, ...pulumiTools]) {
    if (keep && existsSync(join(tools, name === "pulumi" || name.startsWith("pulumi-") ? "libexec" : "bin", name))) {
      expect(up.text).not.toContain(`building ${name} from Go modules`);
    }
  }
  expect(up.text).toContain("the Debian base image: taken from the cache");
  expect(up.text).not.toContain("making a Debian base image");
  expect(up.text).not.toContain("getting the real shape predictor");
  // Every step of the build: the models' too, because the first clone is gone and its port could be had.
  expect(JSON.parse(readFileSync(join(own(), "local/ports.json"), "utf8"))).toMatchObject(ports);
  const steps = [...up.text.matchAll(/#(\d+) \[\S+ \d+\/\d+\] RUN /g)].map(([, number]) => number);
  expect(steps.length).toBeGreaterThan(10);
  for (const step of new Set(steps)) {
    expect(up.text).toMatch(new RegExp(`#${step} CACHED`));
  }
  // The wheels are the running first one's own, so nobody needs a second server of them.
  expect(existsSync(join(own(), "local/run/wheels.pid"))).toBe(false);
  expect(paths.wheels.startsWith(own())).toBe(false);
});
