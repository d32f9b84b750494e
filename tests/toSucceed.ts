import { expect } from "vitest";
import type { Result } from "./run.ts";

declare module "vitest" {
  interface Matchers {
    /** Of a program that was run: it ended with 0. Where it did not, the end of what it said is the message. */
    toSucceed(): void;
  }
}

const shownLines = 30;

expect.extend({
  toSucceed({ code, text }: Result) {
    const end = text.trim().split("\n").slice(-shownLines).join("\n");
    return { pass: code === 0, message: () => `the exit code is ${code}, after:\n${end}` };
  },
});
