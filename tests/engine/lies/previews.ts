import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { endLeftovers } from "../../../local/updates.ts";
import type { Report } from "../../../reports/preview/shape.ts";
import { type Result, run } from "../../run.ts";
import { type Events, readLog } from "./events.ts";
import { digestOf } from "./judge.ts";
import { judgeRevision, saidIn } from "./revisions.ts";
import type { Place } from "./sources.ts";
import type { World } from "./world.ts";

export interface Previewed extends Result {
  report: Report;
  /** The sign in the report's heading. */
  sign: string;
  events: Events;
  /** Whether the engine came to its end. */
  ended: boolean;
}

/** `make preview`, once everything is set up; with `killAfter`, its whole process group is killed after so many milliseconds. */
export async function preview(world: World, killAfter?: number): Promise<Previewed> {
  const { clone } = world;
  rmSync(world.eventLog, { force: true });
  const args = ["--stack", clone.stack, "--config-file", clone.configFile, "--non-interactive", "--suppress-progress"];
  const code = `const m = await import("./local/previewReport.ts");
    await m.beginReport("local");
    process.exitCode = await m.previewWithReport("local", ${JSON.stringify(args)}, process.env);`;
  const command = ["node", "--input-type=module", "-e", code];
  const environment = { ...clone.environment, PATH: clone.environment.LIES_PATH };
  const result =
    killAfter === undefined
      ? await run(command, clone.folder, environment)
      : await killed(command, clone.folder, environment, killAfter);
  const markdown = readFileSync(join(clone.folder, ".facecraft/preview/local.md"), "utf8");
  const events = readLog(existsSync(world.eventLog) ? readFileSync(world.eventLog, "utf8") : "");
  return {
    ...result,
    report: JSON.parse(readFileSync(join(clone.folder, ".facecraft/preview/local.json"), "utf8")),
    sign: /^## (\S+) /m.exec(markdown)?.[1] ?? "",
    events,
    ended: events.counts !== undefined,
  };
}

async function killed(command: string[], cwd: string, env: NodeJS.ProcessEnv, after: number): Promise<Result> {
  const [program = "", ...args] = command;
  const report = join(cwd, ".facecraft/preview/local.json");
  rmSync(report, { force: true });
  const child = spawn(program, args, { cwd, env, detached: true, stdio: "ignore" });
  const closed = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? 128)));
  while (!existsSync(report) && child.exitCode === null) {
    await sleep(10);
  }
  await Promise.race([sleep(after), closed]);
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    // It was faster.
  }
  const code = await closed;
  await endLeftovers();
  return { code, text: "" };
}

const signs = { unchanged: "⚪", changed: "🟢", failed: "🔴" };

/** Holds a report against the event log, the exit code, the registry and what was done to the models' upstream. */
export async function judgeReport(
  world: World,
  { code, text, report, sign, events, ended }: Previewed,
  upstream: Record<string, string>,
  place: Place,
  isKilled: boolean,
): Promise<void> {
  const { clone } = world;
  expect(sign, "the Markdown has another result than the JSON").toBe(signs[report.result]);
  if (isKilled && report.result === "failed") {
    return;
  }
  if (!isKilled) {
    const said = `the report says ${report.result}, and the exit code is ${code}:\n${text}`;
    expect(report.result === "failed", said).toBe(code !== 0);
  }
  if (!ended) {
    expect(report.result, "the engine did not come to its end").toBe("failed");
    return;
  }
  const failures = new Set(events.errors.map(({ resource }) => resource));
  if (failures.size > 0 || events.violations.length > 0) {
    expect(report.result, `the event log has errors: ${JSON.stringify(events.errors)}`).toBe("failed");
  }
  for (const rule of events.violations) {
    expect(
      report.policy.violations.map((one) => one.rule),
      `${rule} is broken, and the report is silent`,
    ).toContain(rule);
  }
  for (const { resource } of report.problems.filter(({ resource }) => resource !== "the program")) {
    expect([...failures], `the report says that ${resource} failed`).toContain(resource);
  }
  if (report.result !== "failed") {
    // Of a preview that failed, the engine leaves out what it failed at; the report has that among its problems.
    expect(report.resources, "the report's counts are not the engine's").toEqual(events.counts);
  }

  const moved: string[] = [];
  for (const { asked, standing } of report.last.answers) {
    const named = await digestOf(clone, asked.slice(clone.repository.length + 1));
    const released = report.last.imageRef?.split("@")[1];
    expect(standing, `the report says of ${asked}`).toBe(named === released ? "as left" : "changed");
    moved.push(...(standing === "changed" ? [asked] : []));
  }
  if (report.result !== "failed") {
    const isChange = events.changes.length > 0 || moved.length > 0;
    expect(report.result, `the event log says ${events.changes.join(", ")}`).toBe(isChange ? "changed" : "unchanged");
    for (const { title, upstream: said } of report.models) {
      expect(said, `what the report says of ${title}'s upstream`).toBe(upstream[title] ?? "as pinned");
    }
  }
  const revision = report.changes.find(({ what }) => what === "source revision")?.to;
  if (revision !== undefined) {
    judgeRevision(revision, place, saidIn(report.warnings, revision));
  }
  if (/was built and proven/.test(report.summary)) {
    expect(events.built, "the builder was asked nothing about the proof").toContain("facecraft-proof");
  }
  if (/ stays\./.test(report.summary)) {
    expect(moved, "the report says that the image stays").toEqual([]);
  }
}
