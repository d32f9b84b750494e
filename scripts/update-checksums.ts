// `make update-checksums`: downloads every model and writes its hashes into both Dockerfiles, all or nothing.
// MODEL=codeformer takes one (or several, with commas); CHECK=1 changes nothing and fails when a pin is not upstream's;
// FORCE=1 also pins what looks like no model.
import { statSync } from "node:fs";
import { Cache } from "../artifacts/cache.ts";
import { defaultCacheDir } from "../artifacts/cacheDir.ts";
import { ActionableError, ArtifactError } from "../artifacts/errors.ts";
import { type Measured, measure } from "../artifacts/measure.ts";
import { parseSha256, sha256Fault } from "../artifacts/pins.ts";
import type { SourceUrl } from "../artifacts/url.ts";
import { models } from "../plan/models.ts";
import { variants } from "../plan/variants.ts";
import {
  applyChanges,
  changesFor,
  disagreements,
  doubt,
  type ModelRow,
  type PinChange,
  pinsOf,
  readDockerfiles,
  report,
  select,
  urlOf,
} from "./pinUpdates.ts";
import { display } from "./progress.ts";
import { replaceFiles } from "./replaceFiles.ts";

type Hashes = Measured & { notModified: false };

/** A model, and what the Dockerfiles say of it. */
interface Job {
  row: ModelRow;
  url: SourceUrl;
  pins: string[];
}

/** Downloads in parallel. @throws ActionableError with one sentence per model that could not be had. */
async function measureAll(jobs: Job[], signal: AbortSignal): Promise<Map<Job, Hashes>> {
  const view = display(process.stderr);
  const running = jobs.map(async (job): Promise<[Job, Hashes]> => {
    const { row, url, pins } = job;
    const line = view.add(row.title);
    line.note(`downloading ${url}`);
    try {
      const found = await measure(url, {
        signal,
        caBundle: process.env.FACECRAFT_CA_BUNDLE || undefined,
        expected: pins[0],
        onProgress: line.update,
        onRetry: (cause) => line.note(`${cause}; trying again`),
        onWait: (what) => line.note(`waiting for ${what}`),
      });
      return [job, found as Hashes];
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = error as ArtifactError;
      throw new ArtifactError(code, `${row.title}: ${url} ${message}.`);
    }
  });
  const settled = await Promise.allSettled(running);
  view.stop();
  signal.throwIfAborted();
  const failures = settled.flatMap((job) => (job.status === "rejected" ? [(job.reason as Error).message] : []));
  if (failures.length > 0) {
    throw new ActionableError(failures.join("\n"));
  }
  return new Map(settled.flatMap((job) => (job.status === "fulfilled" ? [job.value] : [])));
}

/** How large the pinned file was, where the cache still has it. */
function formerBytes({ pins }: Job): number | undefined {
  const sizes = pins.flatMap((pin) => {
    try {
      return sha256Fault(pin) === undefined ? [statSync(new Cache(defaultCacheDir()).path(parseSha256(pin))).size] : [];
    } catch {
      return [];
    }
  });
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

function isSet(name: string): boolean {
  return !["", "0", "false", undefined].includes(process.env[name]);
}

async function main(paths: string[]): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () =>
      interrupted.abort(new ActionableError("Interrupted: the Dockerfiles are as they were.")),
    );
  }
  const files = readDockerfiles(paths);
  const rows = select(process.env.MODEL ?? "", models);
  const jobs = rows.map((row) => ({ row, url: urlOf(row, files), pins: pinsOf(row, files) }));
  const found = await measureAll(jobs, interrupted.signal);
  const disagreeing = rows.flatMap((row) => disagreements(row, files));
  const changes: PinChange[] = [];
  const doubts: string[] = [];
  for (const [job, hashes] of found) {
    const { row, url } = job;
    const own = changesFor(row, files, hashes);
    const why = own.length > 0 ? doubt(hashes, formerBytes(job)) : undefined;
    changes.push(...own);
    if (why !== undefined) {
      doubts.push(`${row.title}: what ${url} serves is no model: ${why}.`);
    }
    console.log(report(row, hashes, own));
  }
  if (isSet("CHECK")) {
    for (const sentence of [...doubts, ...disagreeing]) {
      console.log(sentence);
    }
    if (changes.length === 0 && disagreeing.length === 0) {
      return 0;
    }
    console.log("Nothing was changed. `make update-checksums` takes over what upstream serves now.");
    return 1;
  }
  if (doubts.length > 0) {
    const verdict = isSet("FORCE")
      ? "It is pinned all the same, because FORCE is set."
      : "Nothing was changed. FORCE=1 pins it all the same.";
    console.error([...doubts, verdict].join("\n"));
    if (!isSet("FORCE")) {
      return 1;
    }
  }
  if (changes.length === 0) {
    return 0;
  }
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
  if (!(error instanceof ActionableError)) {
    throw error;
  }
  console.error(error.message);
  return 1;
});
