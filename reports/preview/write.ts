import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toMarkdown } from "./markdown.ts";
import type { Report } from "./shape.ts";

/** Writes FOLDER/STACK.json and FOLDER/STACK.md, each as a whole: nobody ever reads half a report. */
export async function writeReport(folder: string, report: Report): Promise<{ markdown: string }> {
  await mkdir(folder, { recursive: true });
  const files = { json: `${JSON.stringify(report, undefined, 2)}\n`, md: toMarkdown(report) };
  for (const [ending, text] of Object.entries(files)) {
    const temporary = join(folder, `.${report.stack}.${process.pid}.${ending}`);
    await writeFile(temporary, text);
    await rename(temporary, join(folder, `${report.stack}.${ending}`));
  }
  return { markdown: join(folder, `${report.stack}.md`) };
}
