import { expect } from "vitest";
import { committed, type Tree, treeOf } from "../look.ts";
import type { Place } from "./sources.ts";
import { uncommittedIn } from "./trees.ts";

/**
 * Holds what is said of a source against it.
 *
 * @param said the files that are said to be uncommitted; undefined where nothing was heard
 * @returns what its commit has, when the revision says that the source has nothing else
 */
export function judgeRevision(revision: string, place: Place, said?: readonly string[]): Tree | undefined {
  if (place.repository === undefined) {
    expect(revision, "there is no commit, but the revision names one").toMatch(/^unversioned-[0-9a-f]{12}$/);
    expect(said ?? [], "there is no commit to differ from").toEqual([]);
    return undefined;
  }
  const [, hash = "", dirty] = /^([0-9a-f]{40}|[0-9a-f]{64})(-dirty-[0-9a-f]{12})?$/.exec(revision) ?? [];
  expect(hash, `the revision ${revision} names no commit, but there is one`).not.toBe("");
  const commit = committed(place.repository, hash, place.prefix);
  const uncommitted = uncommittedIn(treeOf(place.folder), commit);
  if (dirty) {
    expect(uncommitted, `${revision} says dirty, but every file is the commit's`).not.toEqual([]);
  } else {
    expect(uncommitted, `the revision is the clean commit ${revision}, but these files are not its own`).toEqual([]);
  }
  if (said) {
    const sentence = "the files that are said to be uncommitted are not those that are";
    expect(inWords(said), sentence).toEqual(inWords(uncommitted));
  }
  return dirty ? undefined : commit;
}

/** The files that warnings name behind the revision. */
export function saidIn(warnings: readonly string[], revision: string): string[] {
  return warnings.flatMap((warning) => {
    const at = warning.indexOf(`${revision}: `);
    return at < 0 ? [] : [warning.slice(at + revision.length + 2)];
  });
}

/** A list as it can be told from the words: a name may have a comma in it. */
function inWords(names: readonly string[]): string[] {
  return names.length > 0 ? names.join(", ").trim().split(", ").sort() : [];
}
