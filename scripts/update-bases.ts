// `make update-bases`: asks the registries which image each base's tag names now, and pins the Dockerfiles to it, all or
// nothing. CHECK=1 changes nothing and fails when a pin is missing or old.
import { readFileSync } from "node:fs";
import { variants } from "../plan/variants.ts";
import { Repository } from "../registry/repository.ts";
import { type Base, type BaseChange, type BaseFile, basesOf, pinBases } from "./bases.ts";
import { replaceFiles } from "./replaceFiles.ts";

async function resolve(bases: readonly Base[]): Promise<BaseChange[]> {
  const settled = await Promise.allSettled(
    bases.map(async (base) => ({ ...base, now: (await new Repository(base.repository).manifest(base.tag)).digest })),
  );
  const failures = settled.flatMap((one, index) => {
    const base = bases[index] as Base;
    return one.status === "rejected" ? [`${base.repository}:${base.tag}: ${(one.reason as Error).message}`] : [];
  });
  if (failures.length > 0) {
    throw new Error(`Nothing was changed.\n${failures.join("\n")}`);
  }
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

async function main(): Promise<number> {
  const check = !["", "0", "false", undefined].includes(process.env.CHECK);
  const files = Object.values(variants).map(({ dockerfile, bases }): BaseFile & { before: Buffer } => {
    const before = readFileSync(dockerfile);
    // A character per byte, so that every byte that is not patched stays the same, whatever its encoding.
    return { path: dockerfile, before, text: before.toString("latin1"), args: Object.values(bases) };
  });
  const found = await resolve(files.flatMap(basesOf));
  const changes = found.filter(({ digest, now }) => digest !== now);
  for (const { path, arg, repository, tag, digest, now } of found) {
    const same = digest === now;
    console.log(
      `${repository}:${tag}: ${same ? `unchanged, ${now}` : `\n  ${path}: ${arg}\n    ${digest ?? "(unpinned)"} -> ${now}`}`,
    );
  }
  if (check) {
    if (changes.length > 0) {
      console.log("Nothing was changed. `make update-bases` takes over what the tags name now.");
    }
    return changes.length > 0 ? 1 : 0;
  }
  replaceFiles(
    files.flatMap((file) => {
      const own = changes.filter(({ path }) => path === file.path);
      const text = Buffer.from(pinBases(file, own), "latin1");
      return own.length > 0 ? [{ path: file.path, before: file.before, text }] : [];
    }),
  );
  if (changes.length > 0) {
    console.log("The Dockerfiles are patched. Next: run `make preview`, which builds and proves on the new bases.");
  }
  return 0;
}

process.exitCode = await main().catch((error: Error) => {
  console.error(error.message);
  return 1;
});
