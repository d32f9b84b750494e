import type { Answer } from "../../artifacts/answer.ts";
import type { ModelName } from "../../plan/models.ts";
import type { Scanned } from "../vulnerabilities.ts";
import type { LastProof, ModelRow, Report } from "./shape.ts";

/**
 * Reads a report that came from elsewhere: a pull request's own code has written it, so nothing about its shape is taken on
 * trust, and what it says goes through harmless() like everything else.
 *
 * @returns undefined when it is no report
 */
export function receivedReport(text: string, stack: string): Report | undefined {
  const report = parse(text);
  if (report === undefined) {
    return undefined;
  }
  const { last, policy } = { last: fields(report.last), policy: fields(report.policy) };
  const published = fields(last.published);
  const proof = fields(last.proof);
  return {
    stack,
    result: oneOf(report.result, ["unchanged", "changed", "failed"], "failed"),
    summary: string(report.summary),
    changes: list(report.changes).map(({ what, from, to }) => ({
      what: string(what),
      ...(from !== undefined && { from: string(from) }),
      ...(to !== undefined && { to: string(to) }),
    })),
    resources: Object.fromEntries(Object.entries(fields(report.resources)).map(([op, count]) => [op, number(count)])),
    tags: strings(report.tags),
    last: {
      isKnown: last.isKnown === true,
      answers: list(last.answers).map(answer),
      ...(last.imageRef !== undefined && { imageRef: string(last.imageRef) }),
      ...(last.compressedBytes !== undefined && { compressedBytes: number(last.compressedBytes) }),
      ...(last.note !== undefined && { note: string(last.note) }),
      ...(last.proof !== undefined && {
        proof: { ...measured(proof), ...(proof.before !== undefined && { before: measured(fields(proof.before)) }) },
      }),
      ...(last.vulnerabilities !== undefined && { vulnerabilities: scanned(fields(last.vulnerabilities)) }),
      ...(last.published !== undefined && {
        published: {
          reference: string(published.reference),
          ...(published.version !== undefined && { version: string(published.version) }),
          ...(published.revision !== undefined && { revision: string(published.revision) }),
        },
      }),
    },
    models: list(report.models).map(model),
    proof: list(report.proof).map(({ what, is }) => ({ what: string(what), is: string(is) })),
    policy: {
      rules: number(policy.rules),
      images: strings(policy.images),
      undecided: strings(policy.undecided),
      notApplied: strings(policy.notApplied),
      appliedBy: string(policy.appliedBy),
      violations: list(policy.violations).map(({ rule, resource, message, mandatory }) => ({
        rule: string(rule),
        resource: string(resource),
        message: string(message),
        mandatory: mandatory !== false,
      })),
    },
    problems: list(report.problems).map(({ resource, message, log, hint }) => ({
      resource: string(resource),
      message: string(message),
      log: strings(log),
      ...(hint !== undefined && { hint: string(hint) }),
    })),
    warnings: strings(report.warnings),
  };
}

function answer({ asked, standing, said }: Fields): Answer {
  const standings = ["as left", "changed", "not known"] as const;
  return { asked: string(asked), standing: oneOf(standing, standings, "not known"), said: string(said) };
}

function measured({ readySeconds, peakMemoryBytes }: Fields): LastProof {
  return { readySeconds: number(readySeconds), peakMemoryBytes: number(peakMemoryBytes) };
}

function scanned({ scanner, trouble, found }: Fields): Scanned {
  const by = { scanner: string(scanner) };
  return trouble !== undefined
    ? { ...by, trouble: string(trouble) }
    : {
        ...by,
        found: list(found).map(({ id, package: name, version, severity }) => ({
          id: string(id),
          package: string(name),
          version: string(version),
          severity: string(severity),
        })),
      };
}

function model({ name, title, file, sha256, url, sizeBytes, before, state, upstream }: Fields): ModelRow {
  return {
    name: string(name) as ModelName,
    title: string(title),
    file: string(file),
    sha256: string(sha256),
    url: string(url),
    ...(sizeBytes !== undefined && { sizeBytes: number(sizeBytes) }),
    ...(before !== undefined && { before: string(before) }),
    state: oneOf(state, ["unchanged", "new", "changed"], "changed"),
    upstream: oneOf(upstream, ["as pinned", "drifted", "not known", "not asked"], "not known"),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function parse(text: string): Fields | undefined {
  try {
    const report: unknown = JSON.parse(text);
    return typeof report === "object" && report !== null && "summary" in report ? (report as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function fields(of: unknown): Fields {
  return typeof of === "object" && of !== null ? (of as Fields) : {};
}

function list(of: unknown): Fields[] {
  return Array.isArray(of) ? of.map(fields) : [];
}

function strings(of: unknown): string[] {
  return Array.isArray(of) ? of.map(string) : [];
}

function string(of: unknown): string {
  return typeof of === "string" ? of : (JSON.stringify(of) ?? "");
}

/** No count and no size is larger, and seven digits in a row might be a commit. */
const largest = 2 ** 48;

function number(of: unknown): number {
  return typeof of === "number" && of >= 0 ? Math.min(of, largest) : 0;
}

function oneOf<T extends string>(of: unknown, known: readonly T[], otherwise: T): T {
  return known.find((name) => name === of) ?? otherwise;
}
