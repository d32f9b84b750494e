/**
 * Where a text goes: `value` is one that is quoted as it is, in any line or table cell; `sentence` is prose that quotes
 * values; `block` has lines of its own.
 */
export type Form = "value" | "sentence" | "block";

/**
 * Makes text of whatever origin harmless in GitHub's Markdown: as code, which is shown as it is. GitHub looks for mentions,
 * references to issues and commits, emoji and links even in words that are escaped, but never in code.
 *
 * @param longest a longer value, and a longer line of a block, is cut: a report is read, and GitHub limits its size
 * @returns Markdown of one line, or a fenced block; it neither ends nor changes what is around it
 */
export function harmless(text: string, form: Form, longest = 400): string {
  if (form === "block") {
    return block(text, longest);
  }
  const line = visible(text).replaceAll(/\s+/g, " ").trim();
  const quote = (part: string) => spans(cut(part, longest));
  if (line === "") {
    return "(empty)";
  }
  if (form === "value") {
    return quote(line);
  }
  const words = cut(line, 5 * longest).match(/(?<=^| )\(?`[^`]+`[),.;:!?]*(?= |$)|[^ ]+/g) ?? [];
  return words.map((part) => word(part, quote)).join(" ");
}

/** A fence that no line of the text can close, whatever it is indented by. */
function block(text: string, longest: number): string {
  const lines = visible(text)
    .split("\n")
    .map((line) => cut(line, longest));
  const fence = longerThan(lines.join("\n"), "~", 3);
  return [`${fence}text`, ...lines, fence].join("\n");
}

/** Code spans. A pipe would end a table's cell even in code, and an escaped one is shown with its escape outside a table. */
function spans(line: string): string {
  return line
    .split("|")
    .map((part) => (part === "" ? "" : span(part)))
    .join("&#124;");
}

function span(text: string): string {
  const ticks = longerThan(text, "`", 1);
  const needsSpace = /^[ `]|[ `]$/.test(text) && text.trim() !== "";
  return needsSpace ? `${ticks} ${text} ${ticks}` : `${ticks}${text}${ticks}`;
}

/** A plain word or number stays one. What else stands in a sentence is a value, but for marks that open or close a word. */
function word(text: string, quote: (value: string) => string): string {
  const [, opening = "", inner = "", closing = ""] =
    /^(\(?)`([^`]+)`([),.;:!?]*)$/.exec(text) ?? /^(\(?)(.*?)([),.;:!?]*)$/s.exec(text) ?? [];
  if (inner === "") {
    return quote(text);
  }
  const isWord = /^[A-Za-z]+(['’][a-z]+)?$/.test(inner) && !/^[a-f]{7,}$/i.test(inner); // a commit, perhaps
  const isNumber = /^\d{1,6}$/.test(inner) && !/^[.)]/.test(closing); // "1." begins a list
  return isWord || isNumber ? text : opening + quote(inner) + closing;
}

function longerThan(text: string, mark: "`" | "~", least: number): string {
  const runs = [...text.matchAll(mark === "`" ? /`+/g : /~+/g)].map(([run]) => run.length);
  return mark.repeat(Math.max(least, ...runs.map((length) => length + 1)));
}

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Characters that are not seen, or that change how others are seen, are written out: `\u202e` reverses what follows it. */
function visible(text: string): string {
  return text
    .replaceAll(/\r\n?/g, "\n")
    .replaceAll(/(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (sign) => `\\u${hex(sign)}`);
}

function hex(sign: string): string {
  return (sign.codePointAt(0) ?? 0).toString(16).padStart(4, "0");
}
