import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builderEnvironment } from "../../local/builder.ts";
import { run } from "../run.ts";
import { Clone } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

test("what the builder makes ahead of the engine is what the engine then asks for, to the last step", async () => {
  const script = join(clone.folder, "local/headStart.ts");
  const env = { ...clone.environment, ...builderEnvironment() };
  const ahead = await run([process.execPath, script, "local", clone.configFile], clone.folder, env);
  expect(ahead).toSucceed();
  // The models come from this clone's own address, so they at least were new to the builder.
  expect(ahead.text).toMatch(/#\d+ \[codeformer 2\/2\] RUN /);

  const up = await clone.up();
  expect(up).toSucceed();
  // The release has a stage of its own behind what is proven; what is added from a server is asked for once more.
  const proven = up.text.matchAll(/#(\d+) \[(?!release )\S+ \d+\/\d+\] (?:RUN|COPY) /g);
  const steps = new Set([...proven].map(([, step]) => step));
  expect(steps.size).toBeGreaterThan(20);
  const made = [...steps].filter((step) => !new RegExp(`#${step} CACHED`).test(up.text));
  expect(made).toEqual([]);
});
