// `make update-tools`: downloads every file that local/tools/lock.json names, for all platforms, at the versions that the
// project asks for, and writes their sha256 into it, all or nothing. CHECK=1 changes nothing and fails when the lock would change.
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ActionableError, ArtifactError } from "../artifacts/errors.ts";
import { readText } from "../artifacts/glance.ts";
import { hashFile } from "../artifacts/hash.ts";
import { measure } from "../artifacts/measure.ts";
import { display } from "../scripts/progress.ts";
import { replaceFiles } from "../scripts/replaceFiles.ts";
import { settleAll } from "../scripts/settleAll.ts";
import { output } from "./exec.ts";
import { describe, type Served, updateLock } from "./lockUpdates.ts";
import { root } from "./paths.ts";
import { Failure } from "./say.ts";
import { sumIn } from "./sumList.ts";
import { filesAt, lockFile, readLock } from "./toolLock.ts";
import { wantedVersion } from "./versions.ts";

type Wanted = ReturnType<typeof filesAt>[number] & { tool: string };

/** Downloads all of it. @throws Failure with a sentence for each file that could not be had, or that its list contradicts */
async function serveAll(files: readonly Wanted[]): Promise<Served[]> {
  const view = display(process.stderr);
  const settled = await settleAll(files, 4, async (file): Promise<Served> => {
    const line = view.add(`${file.tool} ${file.platform}`);
    try {
      const sha256 = await hashOf(file.url, line);
      return { ...file, sha256, listed: await isListed(file, sha256) };
    } catch (error) {
      if (!(error instanceof ActionableError)) {
        throw error;
      }
      throw new Failure(`${file.tool}, ${file.platform}: ${file.url} ${error.message}`);
    }
  });
  view.stop();
  const failures = settled.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
  const unexpected = failures.find((failure) => !(failure instanceof Failure));
  if (unexpected !== undefined) {
    throw unexpected;
  }
  if (failures.length > 0) {
    throw new Failure(["Nothing was changed.", ...failures.map(({ message }) => message)].join("\n"));
  }
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

async function hashOf(url: string, line: ReturnType<ReturnType<typeof display>["add"]>): Promise<string> {
  if (url.startsWith("npm:")) {
    return hashOfPackage(url.slice("npm:".length));
  }
  const caBundle = process.env.FACECRAFT_CA_BUNDLE || undefined;
  const options = { caBundle, decompress: false, onProgress: line.update, onRetry: line.note };
  const measured = await measure(url, options);
  if (measured.notModified) {
    throw new Failure("the server says that nothing changed, though nothing was known.");
  }
  return measured.sha256;
}

/** npm compares the package with what its registry says of it, and refuses another one. */
async function hashOfPackage(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "facecraft-npm-"));
  try {
    await output("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder, name], { cwd: root });
    const [file = ""] = await readdir(folder);
    return await hashFile(join(folder, file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the publisher's list names this sum. @throws Failure when it names another one */
async function isListed({ url, sums }: Wanted, sha256: string): Promise<boolean> {
  if (sums === undefined) {
    return false;
  }
  const list = await readText(sums).catch((error: unknown) => {
    if (error instanceof ArtifactError && error.code === "gone") {
      return "";
    }
    throw error instanceof ArtifactError
      ? new Failure(`is there, but its publisher's list ${sums} cannot be had: ${error.message}.`)
      : error;
  });
  const said = sumIn(list, url);
  if ("sha256" in said && said.sha256 !== sha256) {
    throw new Failure(`has the sha256 ${sha256}, but its publisher's list ${sums} says ${said.sha256}.`);
  }
  return "sha256" in said;
}

async function main(): Promise<number> {
  const check = !["", "0", "false", undefined].includes(process.env.CHECK);
  const bytes = readFileSync(lockFile);
  const before = readLock(bytes);
  const wanted = Object.entries(before).flatMap(([tool, entry]) =>
    filesAt(entry, wantedVersion(tool)).map((file) => ({ ...file, tool })),
  );
  const served = await serveAll(wanted);
  const { lock, changes } = updateLock(before, served, wantedVersion);
  console.log([...changes.map(describe), `${served.length} files, ${changes.length} changed`].join("\n"));
  if (check) {
    return changes.length > 0 ? 1 : 0;
  }
  if (changes.length > 0) {
    replaceFiles([{ path: lockFile, before: bytes, text: `${JSON.stringify(lock, undefined, 2)}\n` }]);
    console.log("local/tools/lock.json is written. Review it with `git diff` and commit it.");
  }
  return 0;
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof ActionableError)) {
    throw error;
  }
  console.error(error.message);
  return 1;
});
