import type { Answer } from "../../artifacts/answer.ts";
import type { ModelName } from "../../plan/models.ts";
import type { Scanned } from "../vulnerabilities.ts";
import type { Change } from "./changes.ts";
import type { PackViolation, Problem } from "./events.ts";

/** What a preview means for a reviewer. Written as JSON; a change of shape is a breaking change. */
export interface Report {
  stack: string;
  result: "unchanged" | "changed" | "failed";
  /** A few sentences. */
  summary: string;
  /** Why there would be another image. */
  changes: Change[];
  /** What the engine would do, by kind. */
  resources: Record<string, number>;
  /** Tags that an update would write. */
  tags: string[];
  last: LastRelease;
  models: ModelRow[];
  /** What the image has to show before it is published. */
  proof: ProofRow[];
  policy: PolicyResult;
  problems: (Problem & { hint?: string })[];
  /** What is no reason to stop, but may be one to think: files that are not the commit's, for one. */
  warnings: string[];
}

export interface LastRelease {
  /** Whether the preview got so far as to look for it. */
  isKnown: boolean;
  /** `repository:tag@digest`; absent when the stack has released nothing that this preview knows of. */
  imageRef?: string;
  /** Whether the registry still has it, and what its tags name now. */
  answers: Answer[];
  /** Of what is pulled; absent when the registry did not say. */
  compressedBytes?: number;
  /** What the registry's moving tag says of itself, where there is no earlier state to compare with. */
  published?: { reference: string; revision?: string; version?: string };
  /** How it behaved in its proof. */
  proof?: LastProof;
  /** What is known by now to be vulnerable in it, or why that is not known; absent where there is no scanner. */
  vulnerabilities?: Scanned;
  /** Why there is no size, or nothing to compare with. */
  note?: string;
}

export interface LastProof extends Measured {
  /** The release before it. */
  before?: Measured;
}

interface Measured {
  readySeconds: number;
  peakMemoryBytes: number;
}

export interface ProofRow {
  what: string;
  is: string;
}

export interface PolicyResult {
  rules: number;
  /** The images that were looked at. */
  images: string[];
  /** Rules that could not see all that they judge: it is secret, or known after the update only. */
  undecided: string[];
  /** Rules that judge none of these images. */
  notApplied: string[];
  /** How they were applied: as a policy pack by the engine, or to what the preview shows. */
  appliedBy: string;
  violations: PackViolation[];
}

export interface ModelRow {
  name: ModelName;
  title: string;
  file: string;
  sha256: string;
  url: string;
  sizeBytes?: number;
  /** The pin of the last release, where that is another one. */
  before?: string;
  /** Against the last release. */
  state: "unchanged" | "new" | "changed";
  /** What the refresh before the preview found out about the last release's file. */
  upstream: "as pinned" | "drifted" | "not known" | "not asked";
}
