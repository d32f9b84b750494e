import type { Change } from "./changes.ts";
import type { Problem } from "./events.ts";
import type { LastRelease, ModelRow, PolicyResult, Report } from "./report.ts";

/** The report as a comment on a pull request. The first line lets the next run find it again. */
export function toMarkdown(report: Report): string {
  const { stack, result, summary, changes, problems, policy, models, tags, last } = report;
  const sign = { unchanged: "⚪", changed: "🟢", failed: "🔴" }[result];
  const head = [marker(stack), `## ${sign} Facecraft \`${stack}\``, summary];
  if (result === "unchanged") {
    return joined([...head.slice(0, 2), `${summary} ${policyLine(policy)}`]);
  }
  return joined([
    ...head,
    ...problems.map(problemPart),
    changes.length > 0 ? `### What changes\n\n${table(["", "last release", "this one"], changes.map(changeRow))}` : "",
    comparedWith(last),
    `### Image\n\n${table(["", ""], imageRows(report, tags))}`,
    models.length > 0
      ? `### Models\n\n${table(["model", "pin (sha256)", "size", "from", ""], models.map(modelCells))}`
      : "",
    `### Policy\n\n${policyLine(policy)}${policy.violations.map((v) => `\n- ${v.mandatory ? "❌" : "⚠️"} **${v.rule}** (${v.resource}): ${escaped(v.message)}`).join("")}`,
  ]);
}

export function marker(stack: string): string {
  return `<!-- facecraft-preview:${stack} -->`;
}

function problemPart({ resource, message, log }: Problem): string {
  const parts = [`### ${resource} failed`, fence(message)];
  return [...parts, ...(log.length > 0 ? ["The end of its log:", fence(log.join("\n"))] : [])].join("\n\n");
}

function changeRow({ what, from, to }: Change): string[] {
  return [what, code(from), code(to)];
}

function comparedWith({ imageRef, published }: LastRelease): string {
  if (imageRef || !published) {
    return "";
  }
  const { reference, version, revision } = published;
  return `There is no earlier state to compare with. \`${reference}\` in the registry is version ${version ?? "unknown"} of commit ${code(revision)}.`;
}

function imageRows({ last, resources }: Report, tags: readonly string[]): string[][] {
  const order = Object.entries(resources).map(([op, count]) => `${count} ${op}`);
  const size =
    last.compressedBytes === undefined
      ? `not known: ${last.note ?? "nothing is released yet"}`
      : bytes(last.compressedBytes);
  return [
    ...(tags.length > 0 ? [["tags that an update would write", tags.map(code).join("<br>")]] : []),
    ...(last.imageRef ? [["last release", code(last.imageRef)]] : []),
    ["its size, compressed", `${size} (a preview exports nothing; the release says its own size)`],
    ["resources", order.join(", ")],
  ];
}

function modelCells({ title, sha256, before, sizeBytes, url, state }: ModelRow): string[] {
  const short = (hex: string) => `\`${hex.slice(0, 12)}…\``;
  const size = sizeBytes === undefined ? "" : bytes(sizeBytes);
  return [title, before ? `${short(before)} → ${short(sha256)}` : short(sha256), size, code(url), state];
}

function policyLine({ rules, appliedBy, violations }: PolicyResult): string {
  const broken = new Set(violations.filter(({ mandatory }) => mandatory).map(({ rule }) => rule)).size;
  return broken === 0
    ? `All ${rules} rules hold, applied ${appliedBy}.`
    : `${broken} of ${rules} rules broken, applied ${appliedBy}.`;
}

export function bytes(count: number): string {
  const [unit, size] = count >= 2 ** 30 ? ["GiB", 2 ** 30] : count >= 2 ** 20 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
  return `${(count / size).toFixed(1)} ${unit}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** As code, which GitHub does not interpret: what is reported comes from the pull request. */
function code(whole: string | undefined): string {
  const text = whole && whole.length > 200 ? `${whole.slice(0, 200)}…` : whole;
  return text === undefined ? "" : text === "" ? "(empty)" : `\`${text.replaceAll("`", "'").replaceAll(/\s+/g, " ")}\``;
}

function escaped(text: string): string {
  return text
    .replaceAll(/[<>&]/g, (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[sign] ?? sign)
    .replaceAll("@", "@\u200b");
}

function fence(text: string): string {
  return `~~~text\n${text.replaceAll(/^~~~/gm, " ~~~")}\n~~~`;
}

function joined(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
