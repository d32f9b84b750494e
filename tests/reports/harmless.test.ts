import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Form, harmless } from "../../reports/preview/harmless.ts";
import { contentOf, hostile, parse, structureOf, tellTales } from "./markdownTree.ts";

/** Each place of a report that a text can come to, with harmless neighbours. */
const places: Record<string, { form: Form; around(text: string): string }> = {
  "a paragraph": { form: "value", around: (text) => `${text}\n\nafter` },
  "the middle of a line": { form: "value", around: (text) => `before ${text} after` },
  "a heading": { form: "value", around: (text) => `### ${text} failed\n\nafter` },
  "a cell": { form: "value", around: (text) => `| a | b |\n| --- | --- |\n| ${text} | x |\n| y | ${text} |` },
  "a list": { form: "value", around: (text) => `- ${text}\n- ${text}` },
  "a sentence": { form: "sentence", around: (text) => `${text}\n\nafter` },
  "a sentence in a cell": { form: "sentence", around: (text) => `| a | b |\n| --- | --- |\n| ${text} | x |` },
  "a sentence in a list": { form: "sentence", around: (text) => `- ❌ ${text}\n- ${text}` },
  "a block": { form: "block", around: (text) => `### before\n\n${text}\n\n| a |\n| --- |\n| b |` },
};

describe.each(Object.entries(places))("hostile text in %s", (_name, { form, around }) => {
  test("leaves the page's structure as it is", () => {
    const expected = structureOf(parse(around(harmless("plain words", form))));
    fc.assert(
      fc.property(hostile, (text) => {
        const tree = parse(around(harmless(text, form)));
        expect(structureOf(tree)).toEqual(expected);
        expect(tellTales(tree)).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });
});

describe("what is shown", () => {
  // What is written out, cut or folded is another test's concern.
  const printable = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 60 });

  test("of a value is the value, in a line and in a table", () => {
    fc.assert(
      fc.property(printable, (text) => {
        const line = text.replaceAll(/\s+/g, " ").trim();
        fc.pre(line !== "");
        expect(contentOf(parse(harmless(text, "value")))).toBe(line);
        expect(contentOf(parse(`| a |\n| --- |\n| ${harmless(text, "value")} |`))).toBe(`a${line}`);
      }),
      { numRuns: 400 },
    );
  });

  test("of a sentence is the sentence, where backticks quote something without them", () => {
    fc.assert(
      fc.property(printable, (text) => {
        const line = text.replaceAll(/\s+/g, " ").trim();
        fc.pre(line !== "");
        const shown = contentOf(parse(harmless(text, "sentence")));
        expect(shown.replaceAll("`", "")).toBe(line.replaceAll("`", ""));
      }),
      { numRuns: 400 },
    );
  });

  test("of a block is every line", () => {
    fc.assert(
      fc.property(fc.array(printable), (lines) => {
        expect(contentOf(parse(harmless(lines.join("\n"), "block")))).toBe(lines.join("\n"));
      }),
    );
  });
});

test("plain words stay prose, and values in a sentence are quoted", () => {
  expect(harmless("The base PYTHON_IMAGE is python:3.11, which has 2 faults (none new).", "sentence")).toBe(
    "The base `PYTHON_IMAGE` is `python:3.11`, which has 2 faults (none new).",
  );
  expect(harmless("Run `make update-bases`, or (`make up`).", "sentence")).toBe(
    "Run `make update-bases`, or (`make up`).",
  );
});

test.each([
  ["a mention", "ask @octocat", "ask `@octocat`"],
  ["an issue", "see #1", "see `#1`"],
  ["a commit", "since deadbeef", "since `deadbeef`"],
  ["a bare address", "www.example.com", "`www.example.com`"],
  ["an address of mail", "me@example.com", "`me@example.com`"],
  ["a footnote", "so[^1]", "`so[^1]`"],
  ["a list", "1. first", "`1`. first"],
  ["a fence", "~~~ text", "`~~~` text"],
  ["an emoji", ":tada:", "`:tada`:"],
  ["a pipe", "a|b", "`a`&#124;`b`"],
  ["backticks", "``", "``` `` ```"],
  ["text that reads backwards", "a\u202eb", "`a\\u202eb`"],
  ["nothing", "", "(empty)"],
])("%s is shown as it is", (_what, text, markdown) => {
  expect(harmless(text, "sentence")).toBe(markdown);
});

test("a value that is empty says so, and a long one is cut", () => {
  expect(harmless("", "value")).toBe("(empty)");
  expect(harmless("x".repeat(500), "value")).toBe(`\`${"x".repeat(400)}…\``);
});
