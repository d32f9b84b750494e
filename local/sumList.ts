import { basename } from "node:path";

/**
 * The sha256 of a file in a publisher's list, as sha256sum writes one: a sum and a name on each line, or one sum alone.
 *
 * @returns the sum, or the reason why the list says nothing
 */
export function sumIn(list: string, url: string): { sha256: string } | { reason: string } {
  const wanted = basename(new URL(url).pathname);
  const lines = list
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const entries = lines.map((line) => {
    const [, sum = "", name = ""] = /^\\?([0-9a-fA-F]+)(?:\s+\*?(.*))?$/.exec(line) ?? [];
    return { sum: sum.toLowerCase(), name: name.replace(/^.*\//, "") };
  });
  const alone = entries.length === 1 && entries[0]?.name === "";
  const named = entries.filter(({ sum, name }) => sum !== "" && (name === wanted || alone));
  const sums = new Set(named.map(({ sum }) => sum).filter((sum) => sum.length === 64));
  const [sha256] = sums;
  if (sums.size > 1) {
    return { reason: `names ${wanted} with several sums` };
  }
  if (sha256 !== undefined) {
    return { sha256 };
  }
  return {
    reason: named.length > 0 ? `has no sha256 of ${wanted}, but another kind of sum` : `does not name ${wanted}`,
  };
}
