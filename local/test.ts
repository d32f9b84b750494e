import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { variantNames, variants } from "../plan/variants.ts";
import { interactive } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { toolEnvironment } from "./pulumi.ts";
import { obtainPythonTools, pythonTool, shellScripts } from "./pythonTools.ts";
import { Failure, say } from "./say.ts";
import { runningServices, stopServices } from "./services.ts";
import { setUp } from "./setup.ts";
import { countTests } from "./testCounts.ts";
import { signingTools } from "./tools.ts";

const results = join(tools, "test-results.json");

const program = (name: string) => join(root, "node_modules", ".bin", name);
const vitest = (project: string, ...paths: string[]) => [
  program("vitest"),
  ...["run", "--project", project, "--reporter", "default", "--reporter", "json", "--outputFile", results, ...paths],
];

/** What `make test` consists of. Those with services need the local services, and leave them as they were found. */
const suites: Record<string, { command: string[]; python?: boolean; services?: boolean; extra?: boolean }> = {
  lint: { command: [program("biome"), "check", "--error-on-warnings", "."] },
  "lint-python": { command: [pythonTool("ruff"), "check", "--no-cache", "."], python: true },
  "lint-python-format": { command: [pythonTool("ruff"), "format", "--no-cache", "--check", "."], python: true },
  "lint-shell": { command: [pythonTool("shellcheck"), ...shellScripts()], python: true },
  "lint-dockerfiles": {
    // hadolint 2.15 does not know `RUN --device` yet, so it reads them without.
    command: [
      ...["/bin/sh", "-c", 'for file; do sed "s/ --device=[^ ]*//" "$file" | "$0" - || exit 1; done'],
      ...[
        pythonTool("hadolint"),
        ...variantNames.map((name) => variants[name].dockerfile),
        "docker/Dockerfile.gpu-identity",
      ],
    ],
    python: true,
  },
  types: { command: [program("tsc"), "--noEmit"] },
  unit: { command: vitest("unit") },
  engine: { command: vitest("engine", "tests/engine"), services: true },
  images: { command: vitest("engine", "tests/images"), services: true },
  // What takes longer than all of the above would allow: dlib compiles, and an image is built in an empty cache.
  long: { command: vitest("engine", "tests/long"), services: true, extra: true },
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
  const failures: string[] = [];
  const wereRunning = runningServices().some(({ pid }) => pid !== undefined);
  let up = false;
  try {
    for (const name of chosen) {
      const { command, python, services } = suites[name] as (typeof suites)[string];
      if (python) {
        await obtainPythonTools();
      }
      if (services && !up) {
        await setUp("local", signingTools);
        up = true;
      }
      say(`test suite ${name}`);
      rmSync(results, { force: true });
      const [file = "", ...args] = command;
      const code = await interactive(file, args, { cwd: root, env: { ...process.env, ...toolEnvironment() } });
      const counts = countTests(code, reportOf(results));
      failures.push(...counts.failures.map((failure) => `${name}: ${failure}`));
      for (const key of ["passed", "failed", "skipped"] as const) {
        total[key] += counts[key];
      }
    }
  } finally {
    if (up && !wereRunning) {
      await stopServices();
    }
  }
  for (const failure of failures) {
    console.log(`failed: ${failure.replaceAll("\n", "\n    ")}`);
  }
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ""}`);
  return total.failed > 0 ? 1 : 0;
}

function reportOf(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}
