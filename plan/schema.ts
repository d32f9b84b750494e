// The words in which config keys and stack outputs are declared. Each says, as its message, what a value must be: the end
// of the sentence "... is ...; it must be ...".
import { type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import { hasSecret } from "../artifacts/redact.ts";
import { isRecord } from "./isRecord.ts";

/** The end of the sentence, or how it follows from the value at fault. */
export type Right = string | ((issue: v.BaseIssue<unknown>) => string);

/** What the schema of a value says of secrets in it. */
export interface Secrecy {
  /** Messages do not show the value, nor anything that holds it. */
  hidden?: true;
  /** Names the credential that the text is or holds, which must not stand in plain text; undefined where there is none. */
  credential?: (text: string) => string | undefined;
}

export const matching = (pattern: RegExp, right: Right) => v.pipe(v.string(right), v.regex(pattern, right));

export const text = (right: Right) => matching(/\S/, right);

export const checked = (holds: (text: string) => boolean, right: Right) =>
  v.pipe(
    v.string(right),
    v.check((given) => holds(given), right),
  );

export const oneOf = <const Choices extends readonly string[]>(choices: Choices) =>
  v.picklist(choices, choices.join(", ").replace(/, ([^,]+)$/, " or $1"));

export const boolean = () => v.boolean("true or false");

export const integer = (least: number, most: number, right: Right) =>
  v.pipe(v.number(right), v.integer(right), v.minValue(least, right), v.maxValue(most, right));

export const positive = (right: Right) => v.pipe(v.number(right), v.gtValue(0, right));

/** An object with these keys; what else it has is for {@link unknownKeys} to find. */
export const object = <const Entries extends v.ObjectEntries>(entries: Entries) =>
  v.pipe(
    v.custom<Record<string, unknown>>(isRecord, `an object {${Object.keys(entries).join(", ")}}`),
    v.object(entries),
  );

/** An object whose keys are free. */
export const recordOf = <const Value extends v.GenericSchema>(name: RegExp, value: Value, right: Right) => {
  // The library leaves these out of every object.
  const reserved = ["__proto__", "prototype", "constructor"];
  const isName = (key: string) => name.test(key) && !reserved.includes(key);
  return v.pipe(
    v.custom<Record<string, unknown>>((given) => isRecord(given) && Object.keys(given).every(isName), right),
    v.record(v.string(), value),
  );
};

/** A list, judged as a whole: its entries say the same of what is right. */
export const listOf = <const Item extends v.GenericSchema>(item: (right: Right) => Item, right: Right) =>
  v.array(item(right), right);

export const someOf = <const Item extends v.GenericSchema>(item: (right: Right) => Item, right: Right) =>
  v.pipe(listOf(item, right), v.minLength(1, right));

/** What messages never show, not in part either. */
export const hidden = <const Schema extends v.GenericSchema>(schema: Schema) =>
  v.pipe(schema, v.metadata({ hidden: true } satisfies Secrecy));

/** A list in which nothing stands twice. */
export const setOf = <const Item extends v.GenericSchema>(item: (right: Right) => Item, right: Right) =>
  v.pipe(
    listOf(item, right),
    v.check((given) => new Set(given).size === given.length, right),
  );

/** Environment variables. Their values are texts (numbers and true or false as YAML reads them become such), never shown. */
export const environment = () =>
  recordOf(
    /^[A-Za-z_]\w*$/,
    hidden(v.pipe(v.union([v.string(), v.number(), v.boolean()], "text"), v.transform(String))),
    "an object of environment variables and their values",
  );

/** May be left out, and is absent then. */
export const optional = v.exactOptional;

/** May be left out, for a value of its own. */
export const withDefault = v.optional;

/** A credential, which must not stand in plain text. */
export const secret = (credential: string, right: Right, pattern = /\S/) =>
  v.pipe(matching(pattern, right), v.metadata({ credential: () => credential } satisfies Secrecy));

/** A URL, with what counts as a credential in it. */
export const url = (isRight: (url: string) => boolean, right: Right, holdsCredential = hasSecret) =>
  v.pipe(
    checked(isRight, right),
    v.metadata({
      credential: (given) => (holdsCredential(given) ? "a URL with a credential" : undefined),
    } satisfies Secrecy),
  );

export const webUrl = (right: Right) => url((given) => /^https?:\/\/\S+$/.test(given) && URL.canParse(given), right);

export const file = (right: Right) => checked((path) => status(path)?.isFile() ?? false, right);

export function isDirectory(path: string): boolean {
  return status(path)?.isDirectory() ?? false;
}

function status(path: string): Stats | undefined {
  try {
    return statSync(resolve(path));
  } catch {
    // Not there, not to be reached, or no path at all.
    return undefined;
  }
}
