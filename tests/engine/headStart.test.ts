import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builderEnvironment } from "../../local/builder.ts";
import { output } from "../../local/exec.ts";
import { run } from "../run.ts";
import { Clone } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

interface Build {
  CreatedAt: { seconds: number; nanos: number };
  FrontendAttrs?: Record<string, string>;
  numTotalSteps: number;
  numCachedSteps: number;
}

/** Steps of each build of this clone's proof, the first one first: nobody else's models are served from its address. */
async function builds(env: NodeJS.ProcessEnv): Promise<{ steps: number; cached: number }[]> {
  const { models } = await clone.outputs();
  const lines = await output("buildctl", ["debug", "histories", "--format", "{{json .}}"], { env });
  return lines
    .split("\n")
    .map((line): Build => JSON.parse(line).record)
    .filter(({ FrontendAttrs: { target, "build-arg:CODEFORMER_URL": url } = {} }) => {
      return target === "proof" && url === models.codeformer?.url;
    })
    .sort((one, other) => time(one) - time(other))
    .map(({ numTotalSteps, numCachedSteps }) => ({ steps: numTotalSteps, cached: numCachedSteps }));
}

function time({ CreatedAt: { seconds, nanos } }: Build): number {
  return seconds + nanos / 1e9;
}

test("what the builder makes ahead of the engine is what the engine then asks for, to the last step", async () => {
  const script = join(clone.folder, "local/headStart.ts");
  const env = { ...clone.environment, ...builderEnvironment() };
  const ahead = () => run([process.execPath, script, "local", clone.configFile], clone.folder, env);
  expect(await ahead()).toSucceed();
  // The second time, all is made that can be: some steps only hand something over, and are never made before.
  expect(await ahead()).toSucceed();
  expect(await clone.up()).toSucceed();

  const [first, second, engines, ...more] = await builds(env);
  expect(more).toEqual([]);
  expect(engines).toEqual(second);
  expect(first?.steps).toBe(second?.steps);
  expect(first?.cached).toBeLessThan(second?.cached ?? 0);
});
