// node preview/write-report.ts STACK EVENT_LOG FOLDER: writes FOLDER/STACK.md and FOLDER/STACK.json, says the summary,
// and ends with 1 when the preview failed or a rule is broken.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { allowedRegistries } from "../policy/rules.ts";
import { readEvents } from "./events.ts";
import { lastRelease } from "./lastRelease.ts";
import { toMarkdown } from "./markdown.ts";
import { makeReport } from "./report.ts";

const [stack = "", eventLog = "", folder = ""] = process.argv.slice(2);
const plan = readEvents(await readFile(eventLog, "utf8"));
const report = makeReport(stack, plan, await lastRelease(plan), allowedRegistries());
await mkdir(folder, { recursive: true });
await writeFile(join(folder, `${stack}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
await writeFile(join(folder, `${stack}.md`), toMarkdown(report));
console.log(report.summary);
for (const { rule, message } of report.policy.violations) {
  console.log(`${rule}: ${message}`);
}
console.log(`report: ${join(folder, `${stack}.md`)}`);
process.exitCode = report.result === "failed" ? 1 : 0;
