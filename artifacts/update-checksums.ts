// `make update-checksums`: downloads every model and writes its hashes into both Dockerfiles, all or nothing.
// MODEL=codeformer takes one (or several, with commas); CHECK=1 changes nothing and fails when a pin is not upstream's.
import { readFileSync } from "node:fs";
import { models } from "../components/models.ts";
import { variants } from "../components/variants.ts";
import { ArtifactError } from "./errors.ts";
import { type Measured, measure } from "./measure.ts";
import {
  applyChanges,
  changesFor,
  type Dockerfile,
  disagreements,
  type ModelRow,
  report,
  select,
  urlOf,
} from "./pinUpdates.ts";
import { display } from "./progress.ts";
import { redactUrl } from "./redact.ts";
import { replaceFiles } from "./replaceFiles.ts";

type Hashes = Measured & { notModified: false };

/** Downloads in parallel. @throws ArtifactError with one sentence per model that could not be had. */
async function measureAll(rows: ModelRow[], files: Dockerfile[], signal: AbortSignal): Promise<Map<ModelRow, Hashes>> {
  const urls = new Map(rows.map((row) => [row, urlOf(row, files)]));
  const view = display(process.stderr);
  const jobs = [...urls].map(async ([row, url]): Promise<[ModelRow, Hashes]> => {
    const line = view.add(row.title);
    line.note(`downloading ${redactUrl(url)}`);
    const options = { signal, caBundle: process.env.FACECRAFT_CA_BUNDLE || undefined };
    try {
      const onRetry = (cause: string) => line.note(`${cause}; trying again`);
      return [row, (await measure(url, { ...options, onProgress: line.update, onRetry })) as Hashes];
    } catch (error) {
      if (signal.aborted || !(error instanceof ArtifactError)) throw error;
      throw new ArtifactError(error.code, `${row.title}: ${redactUrl(url)} ${error.message}.`, { cause: error });
    }
  });
  const settled = await Promise.allSettled(jobs);
  view.stop();
  signal.throwIfAborted();
  const failures = settled.filter((job) => job.status === "rejected").map((job) => job.reason as Error);
  for (const failure of failures) if (!(failure instanceof ArtifactError)) throw failure;
  if (failures.length > 0) throw new ArtifactError("unreachable", failures.map(({ message }) => message).join("\n"));
  return new Map(settled.flatMap((job) => (job.status === "fulfilled" ? [job.value] : [])));
}

async function main(paths: string[]): Promise<number> {
  const check = !["", "0", "false", undefined].includes(process.env.CHECK);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () =>
      interrupted.abort(new ArtifactError("refused", "Interrupted: the Dockerfiles are as they were.")),
    );
  }
  const files = paths.map((path) => ({ path, text: readFileSync(path, "utf8") }));
  const rows = select(process.env.MODEL ?? "", models);
  const found = await measureAll(rows, files, interrupted.signal);
  const disagreeing = rows.flatMap((row) => disagreements(row, files));
  const changes = rows.flatMap((row) => changesFor(row, files, found.get(row) as Hashes));
  for (const row of rows) {
    const own = changes.filter(({ arg }) => arg === `${row.arg}_SHA256` || arg === `${row.arg}_DOWNLOAD_SHA256`);
    console.log(report(row, found.get(row) as Hashes, own));
  }
  if (check) {
    for (const sentence of disagreeing) console.log(sentence);
    if (changes.length === 0 && disagreeing.length === 0) return 0;
    console.log("Nothing was changed. `make update-checksums` takes over what upstream serves now.");
    return 1;
  }
  if (changes.length === 0) return 0;
  interrupted.signal.throwIfAborted();
  replaceFiles(applyChanges(files, changes));
  console.log(
    "The Dockerfiles are patched. Next: find out why upstream changed (nothing has vouched for the new files yet), review " +
      "the change with `git diff`, and run `make preview`.",
  );
  return 0;
}

const given = process.argv.slice(2);
const paths = given.length > 0 ? given : Object.values(variants).map(({ dockerfile }) => dockerfile);
process.exitCode = await main(paths).catch((error: unknown) => {
  if (!(error instanceof ArtifactError)) throw error;
  console.error(error.message);
  return 1;
});
