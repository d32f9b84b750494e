import type { Attached } from "../../registry/attached.ts";

const kinds: [kind: Attached["kind"], title: string][] = [
  ["signature", "Signature"],
  ["cyclonedx", "Bill of materials (CycloneDX)"],
  ["slsaprovenance1", "Provenance (SLSA)"],
];

/**
 * What lies beside an image in its registry, row by row: the digest of each statement. Whose they are, and whether they
 * hold, is asked by `make verify`.
 */
export function attachedLines(attached: readonly Attached[]): [string, string][] {
  const digestsOf = (wanted: Attached["kind"]) =>
    attached.filter(({ kind }) => kind === wanted).map(({ digest }) => digest);
  const rows = kinds.map(([kind, title]): [string, string] => [title, digestsOf(kind).join(", ") || "none"]);
  const others = digestsOf("other");
  return others.length > 0 ? [...rows, ["Something else", others.join(", ")]] : rows;
}
