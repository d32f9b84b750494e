import { ArtifactError } from "./errors.ts";
import { quotable, quotedPair, redactUrl } from "./redact.ts";

/** A sha256 in 64 lower-case hex digits. */
export type Sha256 = string & { readonly __brand: "Sha256" };

const schemes = ["https:", "http:", "file:"];

/** Reads a pin, with or without `sha256:` in front. @throws ArtifactError that says what is wrong with the value. */
export function parseSha256(value: unknown): Sha256 {
  const fault = sha256Fault(value);
  if (fault !== undefined) {
    throw new ArtifactError("pin", fault);
  }
  return (value as string).toLowerCase().replace(/^sha256:/, "") as Sha256;
}

/** Says why a value is no pin, or undefined when it is one. A pin that is empty or cut short is never a pass. */
export function sha256Fault(value: unknown): string | undefined {
  const wanted = "a sha256 is 64 hexadecimal digits";
  if (typeof value !== "string") {
    return `the pin is ${value === null ? "null" : typeof value}, but ${wanted}`;
  }
  if (value === "") {
    return `the pin is empty, but ${wanted}`;
  }
  const digits = value.replace(/^sha256:/i, "");
  // Named by its place, not quoted as a whole: what was put here by mistake may be a secret.
  const other = digits.search(/[^0-9a-f]/i);
  if (other >= 0) {
    return `the pin has the character ${JSON.stringify(digits[other])} at place ${other + 1}, but ${wanted}`;
  }
  if (digits.length !== 64) {
    return `the pin "${value}" has ${digits.length} digits, but ${wanted}`;
  }
  return undefined;
}

/** Says why a value is no URL that the engine can fetch, or undefined when it is one. Secrets are not repeated. */
export function urlFault(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") {
    return "a URL is missing; give https://, http:// or file://";
  }
  const shown = `"${redactUrl(value)}"`;
  // URL parsers drop line breaks and tabs without a word, and what is left is another URL than the one that was written.
  if (/[\p{Cc}\s]/u.test(value)) {
    return `${shown} has a space, a line break or another control character in it`;
  }
  const parsed = URL.parse(value);
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase();
  if (parsed === null || scheme === undefined) {
    return `${shown} cannot be read as a URL; give https://, http:// or file://`;
  }
  if (!schemes.includes(parsed.protocol)) {
    return `${shown} has the scheme ${scheme}:// but only https://, http:// and file:// are supported`;
  }
  if (parsed.protocol === "file:" && parsed.host !== "") {
    return `${shown} names the host ${parsed.host}; a local file is file:///path`;
  }
  if (parsed.pathname === "/" || parsed.pathname.endsWith("/")) {
    return `${shown} names a folder, not a file`;
  }
  const packed = /\.(zip|7z|rar|lz|lz4|lzma|lzo|br|Z)$/i.exec(parsed.pathname)?.[0];
  if (packed !== undefined) {
    return `${shown} is packed as ${packed}, but only .bz2, .gz, .xz and .zst can be decompressed`;
  }
  return undefined;
}

// One ARG as it stands in a Dockerfile: instruction, name, "=", then the value, quoted or not. Several on one line, a
// continuation and a here-document are left alone: a pin that is not found this way is reported, never guessed.
const argLine = /^([ \t]*ARG[ \t]+)([A-Za-z_][A-Za-z0-9_]*)(=)("[^"\r\n]*"|'[^'\r\n]*'|[^\s"'\\]*)([ \t]*)(\r?)$/i;

/**
 * The defaults of the `ARG NAME=value` lines in a Dockerfile, unquoted. The same ARG may stand in several stages.
 * @throws ArtifactError when two occurrences with a value disagree.
 */
export function readArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const { name, value } of argsOf(text)) {
    const before = args.get(name);
    if (before !== undefined && before !== value) {
      throw new ArtifactError("pin", `ARG ${name} has two values in one Dockerfile: ${quotedPair(before, value)}`);
    }
    args.set(name, value);
  }
  return args;
}

/**
 * Replaces the value in every `ARG NAME=value` line of the given names; every other byte stays as it is.
 * @throws ArtifactError when a name has no such line, or a value could not stand there unquoted.
 */
export function patchArgs(text: string, values: Readonly<Record<string, string>>): string {
  const missing = new Set(Object.keys(values));
  for (const [name, value] of Object.entries(values)) {
    if (!/^[A-Za-z0-9:/._-]+$/.test(value)) {
      throw new ArtifactError("pin", `${quotable(value)} cannot be the value of ARG ${name}`);
    }
  }
  const patched = mapLines(text, (line) => {
    const [, head, name, equals, old, space, cr] = argLine.exec(line) ?? [];
    if (name === undefined || old === undefined || !Object.hasOwn(values, name)) {
      return line;
    }
    missing.delete(name);
    const quote = /^["']/.exec(old)?.[0] ?? "";
    return `${head}${name}${equals}${quote}${values[name]}${quote}${space}${cr}`;
  });
  if (missing.size > 0) {
    throw new ArtifactError("pin", `no line "ARG ${[...missing][0]}=..." to patch`);
  }
  return patched;
}

function* argsOf(text: string): Generator<{ name: string; value: string }> {
  const found: { name: string; value: string }[] = [];
  mapLines(text, (line) => {
    const [, , name, , value] = argLine.exec(line) ?? [];
    if (name !== undefined && value !== undefined) {
      found.push({ name, value: value.replace(/^(["'])(.*)\1$/, "$2") });
    }
    return line;
  });
  yield* found;
}

/** Applies `change` to each line that starts an instruction: not to continuations, nor inside here-documents. */
function mapLines(text: string, change: (line: string) => string): string {
  let continued = false;
  let heredocs: { word: string; tabs: boolean }[] = [];
  return text
    .split("\n")
    .map((line) => {
      const bare = line.replace(/\r$/, "");
      const open = heredocs[0];
      if (open !== undefined) {
        if ((open.tabs ? bare.replace(/^\t+/, "") : bare) === open.word) {
          heredocs = heredocs.slice(1);
        }
        return line;
      }
      const comment = /^\s*#/.test(bare) || /^\s*$/.test(bare);
      if (comment) {
        return line;
      }
      const starts = !continued;
      continued = /\\\s*$/.test(bare);
      if (/^\s*(RUN|COPY|ADD)\s/i.test(bare) || !starts) {
        heredocs = [...bare.matchAll(/(?:^|[^<])<<(-?)(["']?)([A-Za-z_][A-Za-z0-9_]*)\2/g)].map((m) => ({
          word: m[3] ?? "",
          tabs: m[1] === "-",
        }));
        if (heredocs.length > 0) {
          continued = false;
        }
      }
      return starts ? change(line) : line;
    })
    .join("\n");
}
