import type { Answer } from "../../artifacts/answer.ts";
import { formatBytes } from "../../artifacts/text.ts";
import type { Change } from "./changes.ts";
import type { PackViolation } from "./events.ts";
import { harmless } from "./harmless.ts";
import { policySentence } from "./policySentence.ts";
import type { LastProof, ModelRow, ProofRow, Report } from "./shape.ts";

/** How much of a report is shown: GitHub takes 65 536 characters, and what is cut off in the middle is no Markdown. */
interface Measure {
  rows: number;
  lines: number;
  line: number;
}

const longest = 60_000;
const generous: Measure = { rows: 30, lines: 20, line: 400 };
const tight: Measure = { rows: 10, lines: 8, line: 60 };

/** The report as a comment on a pull request. The first line lets the next run find it again. */
export function toMarkdown(report: Report): string {
  const text = render(report, generous);
  return text.length <= longest ? text : render(report, tight);
}

export function marker(stack: string): string {
  return `<!-- facecraft-preview:${stack.replaceAll(/[^\w.-]/g, "")} -->`;
}

const signs = { unchanged: "⚪", changed: "🟢", failed: "🔴" };

function render(report: Report, measure: Measure): string {
  const { stack, result, summary, last, policy } = report;
  const value = (text: string | undefined) => (text === undefined ? "" : harmless(text, "value", measure.line));
  const sentence = (text: string) => harmless(text, "sentence", measure.line);
  const section = (title: string, head: readonly string[], rows: readonly (readonly string[])[]) =>
    rows.length > 0 ? `### ${title}\n\n${table(head, rows, measure.rows)}` : "";

  const registry = section("Registry", ["", "", ""], last.answers.map(answerCells));
  const asLeft = last.answers.every(({ standing }) => standing === "as left");
  const rules = ["### Policy", sentence(policySentence(policy)), violations()].filter((part) => part !== "");
  const opening = [marker(stack), `## ${signs[result]} Facecraft ${value(stack)}`, sentence(summary)];
  if (result === "unchanged") {
    return joined([...opening, warnings(), sentence(policySentence(policy)), asLeft ? "" : registry]);
  }
  return joined([
    ...opening,
    ...few(report.problems.map(problemPart), 3),
    warnings(),
    section("What changes", ["", "last release", "this one"], report.changes.map(changeCells)),
    comparedWith(),
    section("Image", ["", ""], imageRows()),
    registry,
    section(
      "Models",
      ["model", "pin (sha256)", "size", "from", "since the last release", "upstream"],
      report.models.map(modelCells),
    ),
    section("Proof", ["", ""], [...report.proof.map(proofCells), ...measuredCells()]),
    vulnerabilities(),
    ...rules,
  ]);

  function problemPart({ resource, message, log, hint }: Report["problems"][number]): string {
    return joined([
      `### ${sentence(resource)} failed`,
      hint ? sentence(hint) : "",
      block(message, "first"),
      log.length > 0 ? "The end of its log:" : "",
      log.length > 0 ? block(log.join("\n"), "last") : "",
    ]).trimEnd();
  }

  function block(text: string, which: "first" | "last"): string {
    const lines = text.split("\n");
    const shown = which === "first" ? lines.slice(0, measure.lines) : lines.slice(-measure.lines);
    return harmless(shown.join("\n"), "block", measure.line);
  }

  function changeCells({ what, from, to }: Change): string[] {
    return [sentence(what), value(from), value(to)];
  }

  function answerCells({ asked, standing, said }: Answer): string[] {
    return [standing === "as left" ? "as left" : `**${standing}**`, value(asked), sentence(said)];
  }

  function comparedWith(): string {
    const { published, imageRef, note, isKnown } = last;
    if (imageRef || !isKnown) {
      return imageRef ? "" : "Nothing is known of the last release: the preview did not get so far as to look for it.";
    }
    const { reference, version = "unknown", revision = "unknown" } = published ?? {};
    const known = reference && `${reference} in the registry is version ${version} of commit ${revision}.`;
    return sentence(["There is no earlier state to compare with.", known ?? note ?? ""].join(" "));
  }

  function imageRows(): string[][] {
    const { compressedBytes, note, imageRef } = last;
    const order = Object.entries(report.resources).map(([op, count]) => `${count} ${op}`);
    const weighed =
      compressedBytes === undefined
        ? `not known: ${sentence((note ?? "the registry did not say").replace(/\.$/, ""))}`
        : formatBytes(compressedBytes);
    const tags = few(report.tags.map(value), measure.rows);
    return [
      ...(tags.length > 0 ? [["tags that an update would write", tags.join("<br>")]] : []),
      ...(imageRef ? [["last release", value(imageRef)]] : []),
      // A preview exports nothing, so the new image cannot be weighed.
      ...(imageRef ? [["its size, compressed", `${weighed} (the next release says its own size)`]] : []),
      ...(order.length > 0 ? [["resources", sentence(order.join(", "))]] : []),
    ];
  }

  function proofCells({ what, is }: ProofRow): string[] {
    return [sentence(what), value(is)];
  }

  /** How the last release behaved, and the one before it: of the next one, its own proof will tell. */
  function measuredCells(): string[][] {
    // A day at most: seven digits in a row might be a commit.
    const seconds = (of: LastProof) => Math.min(of.readySeconds, 86_400).toFixed(1);
    const { proof } = last;
    const before = proof?.before;
    return proof
      ? [
          [
            "last release, ready after",
            `${seconds(proof)} s${before ? ` (the one before: ${seconds(before)} s)` : ""}`,
          ],
          [
            "last release, memory at most",
            `${formatBytes(proof.peakMemoryBytes)}${before ? ` (the one before: ${formatBytes(before.peakMemoryBytes)})` : ""}`,
          ],
        ]
      : [];
  }

  function vulnerabilities(): string {
    const { vulnerabilities: scanned } = last;
    if (scanned === undefined) {
      return "";
    }
    const title = "Known vulnerabilities of the last release";
    if ("trouble" in scanned) {
      return `### ${title}\n\n${sentence(`They are not known: ${scanned.trouble}`)}`;
    }
    const rows = scanned.found.map(({ id, package: name, version, severity }) => [
      value(id),
      value(`${name} ${version}`),
      value(severity),
    ]);
    return rows.length > 0
      ? section(`${title} (${rows.length})`, ["", "package", "severity"], rows)
      : `### ${title}\n\n${sentence(`${scanned.scanner} knows none.`)}`;
  }

  function modelCells({ title, sha256, before, sizeBytes, url, state, upstream }: ModelRow): string[] {
    const short = (hex: string) => harmless(`${hex.slice(0, 12)}…`, "value");
    const pin = before ? `${short(before)} → ${short(sha256)}` : short(sha256);
    return [sentence(title), pin, sizeBytes === undefined ? "" : formatBytes(sizeBytes), value(url), state, upstream];
  }

  function warnings(): string {
    const lines = report.warnings.map((warning) => `- ⚠️ ${sentence(warning)}`);
    return lines.length > 0 ? `### Warnings\n\n${few(lines, measure.rows).join("\n")}` : "";
  }

  function violations(): string {
    const alike = Map.groupBy(policy.violations, ({ resource: _, ...rest }) => JSON.stringify(rest));
    const lines = [...alike.values()].map((group) => {
      const { mandatory, rule, message } = group[0] as PackViolation;
      const resources = group.map(({ resource }) => value(resource)).join(", ");
      return `- ${mandatory ? "❌" : "⚠️"} ${value(rule)} (${resources}): ${sentence(message)}`;
    });
    return few(lines, measure.rows).join("\n");
  }
}

/** @param rows cells in which no pipe is left, see harmless.ts */
function table(head: readonly string[], rows: readonly (readonly string[])[], most: number): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const left = rows.length > most ? [line([`and ${rows.length - most} more`, ...head.slice(1).map(() => "")])] : [];
  return [line(head), line(head.map(() => "---")), ...rows.slice(0, most).map(line), ...left].join("\n");
}

function few(parts: readonly string[], most: number): string[] {
  return parts.length > most ? [...parts.slice(0, most), `and ${parts.length - most} more`] : [...parts];
}

function joined(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
