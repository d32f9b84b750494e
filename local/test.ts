import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { interactive } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { toolEnvironment } from "./pulumi.ts";
import { Failure, say } from "./say.ts";
import { runningServices, stopServices } from "./services.ts";
import { setUp } from "./setup.ts";

const results = join(tools, "test-results.json");

const program = (name: string) => join(root, "node_modules", ".bin", name);
const vitest = (project: string, ...paths: string[]) => [
  program("vitest"),
  ...["run", "--project", project, "--reporter", "default", "--reporter", "json", "--outputFile", results, ...paths],
];

/** What `make test` consists of. Those with services need the local services, and leave them as they were found. */
const suites: Record<string, { command: string[]; services?: boolean; extra?: boolean }> = {
  lint: { command: [program("biome"), "check", "--error-on-warnings", "."] },
  types: { command: [program("tsc"), "--noEmit"] },
  unit: { command: vitest("unit") },
  engine: { command: vitest("engine", "tests/engine"), services: true },
  images: { command: vitest("engine", "tests/images"), services: true },
  // A part of the above, for a second run with other plugins.
  release: {
    command: vitest("engine", "tests/engine/release.test.ts", "tests/engine/mistakes.test.ts"),
    services: true,
    extra: true,
  },
};

/** Runs suites, all of them by default, and ends with a line that counts; returns the exit code. */
export async function runTests(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !(name in suites));
  if (unknown) {
    throw new Failure(`There is no test suite "${unknown}"; there are ${Object.keys(suites).join(", ")}.`);
  }
  const chosen = names.length > 0 ? names : Object.keys(suites).filter((name) => !suites[name]?.extra);
  const total = { passed: 0, failed: 0, skipped: 0 };
  const wereRunning = runningServices().some(({ pid }) => pid !== undefined);
  let up = false;
  try {
    for (const name of chosen) {
      const { command, services } = suites[name] as (typeof suites)[string];
      if (services && !up) {
        await setUp();
        up = true;
      }
      say(`test suite ${name}`);
      rmSync(results, { force: true });
      const [file = "", ...args] = command;
      const code = await interactive(file, args, { cwd: root, env: { ...process.env, ...toolEnvironment() } });
      const counts = count(code);
      for (const key of ["passed", "failed", "skipped"] as const) {
        total[key] += counts[key];
      }
    }
  } finally {
    if (up && !wereRunning) {
      await stopServices();
    }
  }
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ""}`);
  return total.failed > 0 ? 1 : 0;
}

/** A suite without a list of tests is one check; one that failed outside of its tests has one failure at least. */
function count(code: number): { passed: number; failed: number; skipped: number } {
  try {
    const {
      numPassedTests: passed,
      numFailedTests,
      numPendingTests: skipped,
    } = JSON.parse(readFileSync(results, "utf8"));
    return { passed, failed: code === 0 ? numFailedTests : Math.max(1, numFailedTests), skipped };
  } catch {
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  }
}
