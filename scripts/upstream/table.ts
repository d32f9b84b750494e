import { printable } from "../../artifacts/redact.ts";
import type { Thing } from "./things.ts";
import type { State, Verdict } from "./verdict.ts";

export interface Asked {
  thing: Thing;
  verdict: Verdict;
}

const order: readonly State[] = ["there", "not known", "deprecated", "changed", "gone"];

/** The table, worst last and without secrets; packages of npm that are simply there are one line. */
export function table(asked: readonly Asked[]): string {
  const quiet = asked.filter(({ thing, verdict }) => thing.kind === "npm package" && verdict.state === "there");
  const loud = asked.filter((one) => !quiet.includes(one));
  const rows = loud
    .toSorted((a, b) => order.indexOf(a.verdict.state) - order.indexOf(b.verdict.state))
    .map(({ thing, verdict }) =>
      [verdict.state, thing.kind, thing.name, verdict.detail, `(${thing.where})`].map(printable),
    );
  if (quiet.length > 0) {
    rows.unshift([
      "there",
      "npm package",
      `${quiet.length} versions`,
      "none of them deprecated",
      "(package-lock.json)",
    ]);
  }
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .replace(/ {3,}\(/, "  (")
        .trimEnd(),
    )
    .join("\n");
}

/** One line that counts. */
export function summary(asked: readonly Asked[]): string {
  const counts = order
    .map((state) => [state, asked.filter(({ verdict }) => verdict.state === state).length] as const)
    .filter(([state, count]) => count > 0 || state === "there" || state === "gone");
  return `${asked.length} asked: ${counts.map(([state, count]) => `${count} ${state}`).join(", ")}`;
}

/** Whether something is not as this repository needs it; what nobody could tell is no reason. */
export function isBroken({ verdict: { state } }: Asked): boolean {
  return state === "gone" || state === "changed" || state === "deprecated";
}
