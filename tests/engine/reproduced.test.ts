import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { type Result, run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

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
  test("is built again with every layer equal but for what the proof measures", async () => {
    const again = await reproduce(released.imageRef, { KEY: join(clone.state, "../cosign.pub") });
    console.log(again.text);
    expect(again).toSucceed();
  });
});
