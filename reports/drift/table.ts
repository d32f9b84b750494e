import type { Answer, Standing } from "../../artifacts/answer.ts";

/** How the command ends. Not to know is no success. 1 is left to what fails before anything is asked. */
export const exitCodes: Record<Standing, number> = { "as left": 0, changed: 2, "not known": 3 };

/** What all answers come to: what is known to have changed outweighs what is not known. Without an answer nothing is known. */
export function verdict(answers: readonly Answer[]): Standing {
  const standings = new Set(answers.map(({ standing }) => standing));
  if (standings.has("changed")) {
    return "changed";
  }
  return standings.has("not known") || standings.size === 0 ? "not known" : "as left";
}

/** What was asked and what was answered, and what to do about it; in lines for a terminal. */
export function driftTable(answers: readonly Answer[], stack: string): string[] {
  const count = (wanted: Standing) => answers.filter(({ standing }) => standing === wanted).length;
  const rows = answers.flatMap(({ asked, standing, said }) => [
    `${standing.padEnd(9)}  ${asked}`,
    `${" ".repeat(11)}${said}`,
  ]);
  const counts = (["as left", "changed", "not known"] as const).map((standing) => `${count(standing)} ${standing}`);
  return [...rows, ...(rows.length > 0 ? [counts.join(", ")] : []), advice(answers, stack)].map(printable);
}

function advice(answers: readonly Answer[], stack: string): string {
  if (answers.length === 0) {
    return `The stack ${stack} has made nothing yet, so there is nothing to ask about.`;
  }
  switch (verdict(answers)) {
    case "as left":
      return `The stack ${stack} is as its last update left it.`;
    case "changed":
      return `Not as the last update left it. \`make up STACK=${stack}\` puts images and tags right; it stops at a model that no mirror serves as pinned.`;
    case "not known":
      return "What was not answered is not known. Make it answer (a login, a network) and ask again.";
  }
}

/** What an answer quotes comes from elsewhere, and may try to steer the terminal. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, " ");
}
