// The sources of tests/engine/lies.test.ts, without a build: what is said of a source must be so, whatever was done to it. See ../fuzz.ts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { resolveSource } from "../../plan/source.ts";
import { judgeRevision } from "../engine/lies/revisions.ts";
import { make, mustBeRefused, type Source, source, wrongSource } from "../engine/lies/sources.ts";
import { applicationOf, differences } from "../engine/lies/trees.ts";
import { treeOf } from "../engine/look.ts";
import { fuzz } from "../fuzz.ts";

const { runs, parameters } = fuzz(30, 1);

const dockerfile = readDockerfile("docker/Dockerfile.cpu");

test(
  `what goes into an image, and what is said of it (${runs} sources)`,
  async () => {
    const any = fc.oneof({ weight: 4, arbitrary: source }, { weight: 1, arbitrary: wrongSource });
    const property = fc.asyncProperty(any, holds);
    await fc.assert(property, parameters);
  },
  runs * 10_000,
);

async function holds(plan: Source): Promise<void> {
  const top = mkdtempSync(join(tmpdir(), "facecraft-source-"));
  try {
    const place = make(plan, top);
    const resolving = resolveSource(place.folder, dockerfile);
    if (mustBeRefused(plan)) {
      await expect(resolving).rejects.toThrow(expect.objectContaining({ name: "ActionableError" }));
      return;
    }
    const { context, revision, uncommitted } = await resolving;
    const [work, copy] = [treeOf(place.folder), treeOf(context)];
    const files = applicationOf(work);
    expect([...copy.keys()].sort(), "the copy has other files than the source").toEqual(files.sort());
    expect(differences(files, copy, work), "files of the copy are not as in the source").toEqual([]);
    judgeRevision(revision, place, uncommitted);
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
}
