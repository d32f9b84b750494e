import fc from "fast-check";
import type { Nodes, Root } from "mdast";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";

/** Parses GitHub flavoured Markdown: CommonMark with tables, autolinks, strikethrough, footnotes and task lists. */
export function parse(markdown: string): Root {
  return fromMarkdown(markdown, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] });
}

/** What a page is made of, without its words: text and code in a line count as one, however many pieces they come in. */
export function structureOf(node: Nodes): unknown {
  if (node.type === "html") {
    return `html ${node.value}`;
  }
  if (node.type === "code") {
    return `code ${node.lang}`;
  }
  if (!("children" in node)) {
    return node.type === "text" || node.type === "inlineCode" ? "words" : node.type;
  }
  const children = node.children.map(structureOf);
  return [node.type, ...children.filter((child, index) => child !== "words" || children[index - 1] !== "words")];
}

/** The words of a page. */
export function contentOf(node: Nodes): string {
  if ("children" in node) {
    return node.children.map(contentOf).join("");
  }
  return "value" in node ? node.value : "";
}

/** What GitHub would still make something of, though the parser leaves it as text. In code it makes nothing of anything. */
export function tellTales(node: Nodes): string[] {
  if ("children" in node) {
    return node.children.flatMap(tellTales);
  }
  const special = /@\w|#\d|GH-\d|:\w+:|\$|:\/\/|www\.|\b(?=[a-f0-9]*[a-f])[a-f0-9]{7,40}\b|\b\d{7,}\b|\p{Cf}/iu;
  return node.type === "text" && special.test(node.value) ? [node.value] : [];
}

const fragments = [
  "@octocat",
  "@org/team",
  "#1",
  "GH-12",
  "djok/facecraft#3",
  "deadbeefcafe",
  "1234567",
  "https://evil.example/x",
  "http://evil.example",
  "www.evil.example",
  "me@evil.example",
  "mailto:me@evil.example",
  "<https://evil.example>",
  "[a](https://evil.example)",
  "![a](https://evil.example/a.png)",
  "[a]: https://evil.example",
  "[^1]",
  "[^1]: note",
  "<img src=x onerror=alert(1)>",
  "<!--",
  "-->",
  "<details>",
  "</td>",
  "<br>",
  "&lt;b&gt;",
  "&#64;octocat",
  "`",
  "``",
  "```",
  "~~~",
  "~~~~~~~~",
  " ~~~",
  "   ```",
  "\n~~~\n",
  "\n```\n",
  "\n\n# heading\n",
  "\n---\n",
  "\n===\n",
  "- item",
  "1. item",
  "> quote",
  "| a | b |",
  "|",
  "\\|",
  "\\\\|",
  "\\",
  "\\`",
  "*",
  "**bold**",
  "_it_",
  "~~gone~~",
  "- [ ] task",
  ":tada:",
  "$x$",
  "\t",
  "\r",
  "\r\n",
  "\n",
  "    code",
  "\u0000",
  "\u202e",
  "\u200b",
  "\u2028",
  "\ud800",
  "é",
  "plain",
  "words",
  "(",
  ")",
  ".",
  " ",
  "",
];

/** Text as somebody would write it who wants to leave the place where it stands. */
export const hostile = fc.oneof(
  fc.array(fc.constantFrom(...fragments), { maxLength: 12 }).map((parts) => parts.join("")),
  fc.array(fc.constantFrom(...fragments), { maxLength: 12 }).map((parts) => parts.join(" ")),
  fc.string({ unit: "grapheme-ascii", maxLength: 80 }),
  fc.string({ unit: "binary", maxLength: 80 }),
);
