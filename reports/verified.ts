import { labelOf, variantOf } from "../attest/compare.ts";
import type { Trust } from "../attest/cosign.ts";
import type { Examined } from "../attest/verify.ts";
import { flavours } from "../plan/variants.ts";
import { proofLines } from "./image/proof.ts";

/** What is known of an image, as `make verify` tells it: plain values. */
export interface Known {
  /** `repository@sha256:<64 hex digits>`. */
  image: string;
  version: string;
  variant: string | null;
  /** Commit of the application. */
  commit: string;
  /** Where the application comes from, by the label. */
  source: string;
  created: string;
  platform: string;
  base: { name: string; digest: string };
  torch: string;
  cuda: string | null;
  /** Paths, pins, and, where the image says them, titles, sizes and URLs. */
  models: { file: string; sha256: string; title?: string; sizeBytes?: number; url?: string }[];
  proof: Examined["facts"]["record"];
  packages: { python: number; debian: number | null };
  signature: Verdict;
  provenance: Verdict & { builder?: string; program?: { version: string; commit: string } };
  sbom: Verdict;
  /** Of what the image, or the reference to it, says. */
  faults: string[];
  /** Whether nothing that is claimed was found to be wrong. */
  holds: boolean;
}

export interface Verdict {
  state: "holds" | "fails" | "unchecked";
  /** Whose signature it has, where it holds. */
  by?: string;
  /** Whether there is one at all, where it was not checked. */
  attached?: boolean;
  faults: string[];
}

export function knownOf(examined: Examined, trust: Trust | undefined): Known {
  const { facts, stated, contents } = examined;
  const { record } = facts;
  const label = (name: string) => labelOf(facts, name) ?? "";
  const verdict = (faults: string[] | undefined, kind: string): Verdict =>
    faults === undefined
      ? { state: "unchecked", attached: examined.attached?.includes(kind) ?? false, faults: [] }
      : {
          state: faults.length > 0 ? "fails" : "holds",
          ...(faults.length === 0 && trust && { by: nameOf(trust) }),
          faults,
        };
  const signature = verdict(examined.signature, "signature");
  const provenance = verdict(examined.provenance, "slsaprovenance1");
  const sbom = verdict(examined.sbom, "cyclonedx");
  const rows = new Map(facts.contents?.models.map((model) => [model.file, model]));
  return {
    image: `${facts.repository}@${facts.digest}`,
    version: label("version"),
    variant: variantOf(facts, flavours) ?? null,
    commit: label("revision"),
    source: label("source"),
    created: facts.created,
    platform: facts.platform,
    base: { name: label("base.name"), digest: label("base.digest") },
    torch: record.torch,
    cuda: record.cuda,
    models: Object.entries(record.models).map(([file, sha256]) => ({ ...rows.get(file), file, sha256 })),
    proof: record,
    packages: {
      python: Object.keys(record.packages).length,
      debian: facts.contents?.debian.length ?? null,
    },
    signature,
    provenance: { ...provenance, ...(stated && { builder: stated.builder, program: stated.program }) },
    sbom,
    faults: contents,
    holds: [signature, provenance, sbom].every(({ state }) => state !== "fails") && contents.length === 0,
  };
}

/** The same for a person: a line for each fact, and below them a line for each thing that does not hold. */
export function knownLines(known: Known, measured: Examined["facts"]["measured"]): string[] {
  const { base, models, packages, signature, provenance, sbom, faults } = known;
  const { program } = provenance;
  const builtBy = program ? `, by facecraft-images ${program.version} (${program.commit || "no commit"})` : "";
  const rows: [string, string][] = [
    ["Image", known.image],
    [
      "What it is",
      `version ${known.version}, ${known.variant ?? "no known variant"}, ${known.platform}, of ${known.created}`,
    ],
    ["Application", `commit ${known.commit} of ${known.source}`],
    ["Base", `${base.name}@${base.digest}`],
    ["Signature", verdictText(signature)],
    ["Provenance", verdictText(provenance) + builtBy],
    ["SBOM", verdictText(sbom)],
    ...proofLines(known.proof, measured),
    ...models.map(({ file, sha256, title, url }): [string, string] => [
      `Model ${title ?? ""}`.trim(),
      `${file}, sha256 ${sha256}${url ? `, from ${url}` : ""}`,
    ]),
    ["Packages", `${packages.python} of Python${packages.debian === null ? "" : `, ${packages.debian} of Debian`}`],
  ];
  const wrong = [...signature.faults, ...provenance.faults, ...sbom.faults, ...faults];
  return [
    ...rows.map(([what, is]) => `${`${what}:`.padEnd(26)} ${is}`),
    ...[...new Set(wrong)].map((fault) => `Does not hold: ${fault}`),
  ];
}

function verdictText({ state, by, attached }: Verdict): string {
  const texts = {
    holds: `holds, signed by ${by}`,
    fails: "does not hold",
    unchecked: attached
      ? "there is one, which was not checked, because nobody said whose it must be (KEY=..., or IDENTITY=... and ISSUER=...)"
      : "none",
  };
  return texts[state];
}

function nameOf(trust: Trust): string {
  return "key" in trust ? `the key ${trust.key}` : `${trust.identity} (${trust.issuer})`;
}
