// node scripts/preview-report.ts STACK EVENT_LOG FOLDER [EXIT_CODE]: writes FOLDER/STACK.md and FOLDER/STACK.json about a
// preview that ended with EXIT_CODE, says the summary, and ends with 1 when the preview failed or a rule is broken.
import { readFile } from "node:fs/promises";
import { limits } from "../policy/rules.ts";
import { readEvents } from "../reports/preview/events.ts";
import { lastRelease } from "../reports/preview/lastRelease.ts";
import { makeReport } from "../reports/preview/report.ts";
import { writeReport } from "../reports/preview/write.ts";

const [stack = "", eventLog = "", folder = "", exitCode = "0"] = process.argv.slice(2);
// An engine that could not even begin has written no log.
const plan = readEvents(await readFile(eventLog, "utf8").catch(() => ""));
const report = makeReport(stack, plan, await lastRelease(plan), limits(), Number(exitCode));
const { markdown } = await writeReport(folder, report);
console.log(report.summary);
const hints = report.problems.flatMap(({ hint }) => hint ?? []);
const violations = report.policy.violations.map(({ rule, message }) => `${rule}: ${message}`);
for (const line of new Set([...hints, ...violations])) {
  console.log(line);
}
console.log(`report: ${markdown}`);
process.exitCode = report.result === "failed" ? 1 : 0;
