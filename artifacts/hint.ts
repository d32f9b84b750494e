import type { Download } from "./transfer.ts";

const encodings = /^(gzip|x-gzip|br|deflate|zstd|compress)$/i;

/** What the bytes look like, when they are not the ones that were asked for: a phrase, or undefined. */
export function hintOf(start: Buffer, download: Partial<Download>): string | undefined {
  return noModel(start, download) ?? doubtful(download);
}

/** What can be no model, whatever its hash: models are binary. */
export function noModel(start: Buffer, { contentType, contentEncoding }: Partial<Download>): string | undefined {
  const text = textOf(start)?.toLowerCase() ?? "";
  if (page.test(text) || isPage(contentType)) {
    return "it is an HTML page, perhaps of a login or an error";
  }
  if (/^version https:\/\/(git-lfs|hawser)/.test(text)) {
    return "it is a Git LFS pointer, not the file itself";
  }
  if (/^<(\?xml|[a-z])/.test(text)) {
    return "it is an XML document, perhaps of an error";
  }
  if (/^[{[]/.test(text)) {
    return "it is a JSON document, perhaps of an error";
  }
  if (text !== "") {
    return "it is text, perhaps of an error";
  }
  if (contentEncoding && !/^identity$/i.test(contentEncoding)) {
    const encoding = encodings.test(contentEncoding) ? contentEncoding.toLowerCase() : "an encoding of its own";
    return `the server encoded it with ${encoding}`;
  }
  return undefined;
}

/** Whether a server calls what it sends a page for people, as logins and errors are. */
export function isPage(contentType: string | undefined): boolean {
  return /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(contentType ?? "");
}

const page = /^<(!--|(!doctype\s+html|html|head|body|title|meta|script|h1)\b)/;

/** What bytes say that are text, without the space around it; undefined for all others. */
function textOf(start: Buffer): string | undefined {
  const text = decoded(start).trim();
  const hasControls = /[^\P{Cc}\s]/u.test(text);
  return hasControls ? undefined : text;
}

function decoded(start: Buffer): string {
  try {
    // The last character may be cut.
    return new TextDecoder("utf-8", { fatal: true }).decode(start, { stream: true });
  } catch {
    return start.toString("latin1");
  }
}

function doubtful({ lengthKnown }: Partial<Download>): string | undefined {
  return lengthKnown === false ? "the server did not say how long it is, so it may be cut short" : undefined;
}
