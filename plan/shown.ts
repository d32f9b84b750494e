import { hasSecret, redactUrl } from "../artifacts/redact.ts";

const mostCharacters = 160;
const mostEntries = 10;
const mostLevels = 4;

/** A wrong value as a message may show it: in one line, not too long, and without credentials. */
export function shown(value: unknown): string {
  return value === undefined ? "not there" : shortened(JSON.stringify(bounded(value, mostLevels)), 3 * mostCharacters);
}

/** What a message may say of a value that is, or may hold, a secret. */
export function concealed(value: unknown): string {
  return value === undefined || value === null || value === "" ? shown(value) : `[secret] (${kindOf(value)})`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) {
    return "a list";
  }
  const kinds: Record<string, string> = { string: "text", number: "a number", boolean: "true or false" };
  return kinds[typeof value] ?? "an object";
}

function bounded(value: unknown, levels: number): unknown {
  if (typeof value === "string") {
    return shortened(withoutCredentials(value), mostCharacters);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  if (levels === 0) {
    return "…";
  }
  if (Array.isArray(value)) {
    const rest = value.length > mostEntries ? ["…"] : [];
    return [...value.slice(0, mostEntries).map((entry) => bounded(entry, levels - 1)), ...rest];
  }
  const entries = Object.entries(value).slice(0, mostEntries);
  return Object.fromEntries(
    entries.map(([key, entry]) => [shortened(withoutCredentials(key), mostCharacters), bounded(entry, levels - 1)]),
  );
}

function withoutCredentials(text: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) && URL.canParse(text)) {
    return hasSecret(text) ? redactUrl(text) : text;
  }
  // It may be meant as a URL, or hold one: then nothing stays that could be a user, a password or a query.
  return text
    .replace(/:\/\/.*[:@?].*$/s, "://***")
    .replace(/\?.*$/s, "?***")
    .replace(/^.*@(?!sha256:)/s, "***@");
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
}
