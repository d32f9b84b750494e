import { relative } from "node:path";
import { root } from "./paths.ts";

export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
  /** Of each failure its file, its name, and what it said, without the places in the code. */
  failures: string[];
}

/** What vitest's JSON reporter writes about a run, as far as it is read here. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
  }[];
}

/**
 * Counts the tests of a suite. One without a report is one check; one that failed outside of its tests has one failure at
 * least.
 *
 * @param code exit code of the suite
 * @param report what vitest wrote, if it got to that
 */
export function countTests(code: number, report: string | undefined): TestCounts {
  const lost = code === 0 ? [] : ["the suite itself; see what it printed"];
  if (report === undefined) {
    return { passed: code === 0 ? 1 : 0, failed: lost.length, skipped: 0, failures: lost };
  }
  const { numPassedTests, numFailedTests, numPendingTests, testResults }: Report = JSON.parse(report);
  const failures = testResults.flatMap(failuresOf);
  return {
    passed: numPassedTests,
    failed: Math.max(numFailedTests, lost.length),
    skipped: numPendingTests,
    failures: failures.length > 0 ? failures : lost,
  };
}

function failuresOf({ name, status, message, assertionResults }: Report["testResults"][number]): string[] {
  const file = relative(root, name);
  const failed = assertionResults.filter((result) => result.status === "failed");
  if (failed.length === 0 && status === "failed") {
    return [`${file}: ${said(message)}`];
  }
  return failed.map(({ fullName, failureMessages }) => `${file} > ${fullName}: ${said(failureMessages[0])}`);
}

function said(text = ""): string {
  const places = text.search(/\n\s+at /);
  return (places < 0 ? text : text.slice(0, places)).trim();
}
