import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { countTests } from "../../local/testCounts.ts";

const report = (testResults: object[], counts: object) =>
  JSON.stringify({ numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, ...counts, testResults });

describe("the count of a suite", () => {
  test("names every failed test with what it said, without the places in the code", () => {
    const file = {
      name: join(root, "tests/plan/plan.test.ts"),
      status: "failed",
      message: "",
      assertionResults: [
        { fullName: "a plan is whole", status: "passed", failureMessages: [] },
        {
          fullName: "a plan is frugal",
          status: "failed",
          failureMessages: ["AssertionError: 2 is not 1, after:\nit was 2\n    at x:1\n    at y:2"],
        },
      ],
    };
    expect(countTests(1, report([file], { numPassedTests: 1, numFailedTests: 1, numPendingTests: 2 }))).toEqual({
      passed: 1,
      failed: 1,
      skipped: 2,
      failures: ["tests/plan/plan.test.ts > a plan is frugal: AssertionError: 2 is not 1, after:\nit was 2"],
    });
  });

  test("has one failure for a file that could not be loaded", () => {
    const file = {
      name: join(root, "tests/a.test.ts"),
      status: "failed",
      message: "no such module",
      assertionResults: [],
    };
    const { failed, failures } = countTests(1, report([file], { numPassedTests: 3 }));
    expect({ failed, failures }).toEqual({ failed: 1, failures: ["tests/a.test.ts: no such module"] });
  });

  test("has one failure where everything passed and the run itself failed", () => {
    const { passed, failed, failures } = countTests(1, report([], { numPassedTests: 3 }));
    expect({ passed, failed }).toEqual({ passed: 3, failed: 1 });
    expect(failures).toHaveLength(1);
  });

  test("is one check for a suite that writes no report", () => {
    expect(countTests(0, undefined)).toEqual({ passed: 1, failed: 0, skipped: 0, failures: [] });
    expect(countTests(2, undefined)).toMatchObject({ passed: 0, failed: 1 });
  });
});
