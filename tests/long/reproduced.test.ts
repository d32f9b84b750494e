import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { Clone, type Outputs } from "../engine/harness.ts";
import { type Result, run } from "../run.ts";

let clone: Clone;
let released: Outputs;

beforeAll(async () => {
  clone = await Clone.make();
  const keys = join(clone.state, "..");
  await output("cosign", ["generate-key-pair"], { cwd: keys, env: { ...clone.environment, COSIGN_PASSWORD: "" } });
  clone.writeConfig((text) => `${text}  facecraft:signing:\n    key: ${join(keys, "cosign.key")}\n`);
  expect(await clone.up()).toSucceed();
  released = await clone.outputs();
});
afterAll(() => clone?.remove());

function reproduce(image: string, environment: NodeJS.ProcessEnv = {}): Promise<Result> {
  // Wheels and packages that the builder has downloaded are taken again, so that the test does not wait for an index.
  const env = { BUILDKIT_HOST: `unix://${paths.buildkitSocket}`, CA_BUNDLE: paths.trustedCas, DOWNLOADS: "kept" };
  return run(["node", "scripts/reproduce.ts", image], clone.folder, { ...clone.environment, ...env, ...environment });
}

describe("the example application", () => {
  test("is built again with every layer equal, but for the two that docs/images.md names", async () => {
    const again = await reproduce(released.imageRef, { KEY: join(clone.state, "../cosign.pub") });
    expect(again).toSucceed();
    const layers = again.text.split("\n").filter((line) => /^[a-z ]+ {2}[0-9a-f]{12} {2}/.test(line));
    expect(layers.length, again.text).toBeGreaterThan(10);
    const others = layers.filter((line) => !line.startsWith("equal "));
    const titles = others.map((line) => /^as known +[0-9a-f]{12} {2}([^.]+)\./.exec(line)?.[1]);
    expect(titles, again.text).toEqual(["compiled in the build", "measurements of the proof"]);
    expect(again.text).toContain("All that can be the same is the same.");
  });
});
