// The words in which config keys and stack outputs are declared. Each says, as its message, what a value must be: the end
// of the sentence "... is ...; it must be ...".
import { type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import { hasSecret } from "../artifacts/redact.ts";
import { looksSecret } from "../artifacts/secrets.ts";
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

export const pickFrom = <const Choices extends readonly string[]>(choices: Choices, right: Right) =>
  v.picklist(choices, right);

export const oneOf = <const Choices extends readonly string[]>(choices: Choices) =>
  pickFrom(choices, choices.join(", ").replace(/, ([^,]+)$/, " or $1"));

/** One of these, as far as the choice holds in the place where it is made. */
export const oneOfThose = <const Choices extends readonly string[]>(
  choices: Choices,
  holds: (choice: Choices[number]) => boolean,
  right: Right,
) => v.pipe(pickFrom(choices, right), v.check(holds, right));

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

// The library leaves these out of every object.
const reserved = ["__proto__", "prototype", "constructor"];

/** An object whose keys are free. */
export const recordOf = <const Value extends v.GenericSchema>(name: RegExp, value: Value, right: Right) => {
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

const variableName = /^[A-Za-z_]\w*$/;

/** The value of an environment variable: a text (numbers and true or false as YAML reads them become such), never shown. */
const variableValue = () => hidden(v.pipe(v.union([v.string(), v.number(), v.boolean()], "text"), v.transform(String)));

const variables = "an object of environment variables and their values";

/** Environment variables. */
export const environment = () => recordOf(variableName, variableValue(), variables);

/** Environment variables that are written down where everyone can read them: one line each, and none a secret. */
export const publicEnvironment = () =>
  v.pipe(
    v.custom<Record<string, unknown>>(isRecord, variables),
    v.rawCheck(({ dataset, addIssue }) => {
      const given = dataset.typed ? dataset.value : {};
      for (const [name, value] of Object.entries(given)) {
        const message = publicFault(name, String(value));
        if (message !== undefined) {
          addIssue({
            message,
            input: value,
            path: [{ type: "object", origin: "value", input: given, key: name, value }],
          });
        }
      }
    }),
    v.record(v.string(), variableValue()),
  );

/** What a variable that everyone can read must be, where it is something else. */
function publicFault(name: string, value: string): string | undefined {
  if (!variableName.test(name) || reserved.includes(name)) {
    return "under a name of letters, digits and _ that does not begin with a digit";
  }
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)) {
    return "one line of text without control characters";
  }
  return looksSecret(name, value) || hasSecret(value)
    ? "no secret, as its name or its form says that it is one: everyone who can pull the image can read it there"
    : undefined;
}

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
