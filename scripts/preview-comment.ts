// node scripts/preview-comment.ts STACK REPORT_JSON: the comment for a pull request, on standard output. It needs no package,
// so that the job that may write comments runs nothing but this project's own code of the default branch.
import { readFileSync } from "node:fs";
import { toMarkdown } from "../reports/preview/markdown.ts";
import { receivedReport } from "../reports/preview/received.ts";

const [stack = "", file = ""] = process.argv.slice(2);
const report = receivedReport(readFileSync(file, "utf8"), stack);
if (report === undefined) {
  console.error(`${file} is no report of a preview.`);
  process.exitCode = 1;
} else {
  process.stdout.write(toMarkdown(report));
}
