import { ActionableError } from "../artifacts/errors.ts";

/** Who writes instead, while lines on the terminal change: messages go above them. */
let writer: ((text: string) => void) | undefined;

export function divert(instead: typeof writer): void {
  writer = instead;
}

/** What this command is doing, on standard error: standard output belongs to results such as `make outputs`. */
export function say(message: string): void {
  const text = `[local] ${message}\n`;
  if (writer) {
    writer(text);
  } else {
    process.stderr.write(text);
  }
}

/** A failure of what brings up the tools and services. */
export class Failure extends ActionableError {}
