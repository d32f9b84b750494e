import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

interface Outcome {
  /** `file.class.method` */
  test: string;
  state: "passed" | "failed" | "skipped";
  /** Why it failed, or was skipped. */
  text: string;
}

// The scripts are Python, and so are their tests, which need nothing but Python; each counts as one of ours.
const run = spawnSync("python3", ["-B", "-W", "ignore", join(import.meta.dirname, "run.py")], { encoding: "utf8" });
const lines = (run.stdout ?? "").split("\n").filter((line) => line.startsWith("{"));
const outcomes = lines.map((line) => JSON.parse(line) as Outcome);

test("the tests of the Dockerfiles' scripts ran", () => {
  expect(run.error, "Python 3.11 or newer must be on the PATH as python3").toBeUndefined();
  expect(run.status, run.stderr).toBe(0);
  expect(outcomes.length).toBeGreaterThan(50);
});

const files = [...new Set(outcomes.map((outcome) => outcome.test.split(".")[0] as string))];
describe.each(files)("%s.py", (file) => {
  test.for(outcomes.filter((outcome) => outcome.test.startsWith(`${file}.`)))("$test", ({ state, text }, context) => {
    context.skip(state === "skipped", text);
    expect(state, text).toBe("passed");
  });
});
