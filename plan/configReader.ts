import { isDeepStrictEqual } from "node:util";
import * as v from "valibot";
import { ActionableError } from "../artifacts/errors.ts";
import { credentialsIn, isHidden, judge, unknownKeys } from "./faults.ts";
import { partsOf, unwrapped } from "./schemaParts.ts";
import { concealed, shown } from "./shown.ts";

/** Every problem of a stack's config, one sentence each. */
export class ConfigError extends ActionableError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** A stack's config in one namespace, as Pulumi hands it over. */
export interface StackConfig {
  /** Values by their keys, without the namespace: strings, JSON for what is structured. */
  values: Readonly<Record<string, string>>;
  /** Whether the stack keeps a key encrypted. Pulumi copies what is not, as it is, into every state file. */
  isSecret(key: string): boolean;
}

/** What a project's keys are when they are read. */
export type ConfigOf<Keys extends v.ObjectEntries> = v.InferOutput<v.ObjectSchema<Keys, undefined>>;

/**
 * Reads a stack's config by the schemas of its keys.
 *
 * @throws ConfigError that lists every problem: the key, the value and what would be right
 */
export function parseConfigOf<const Keys extends v.ObjectEntries>(
  namespace: string,
  keys: Keys,
  { values, isSecret }: StackConfig,
): ConfigOf<Keys> {
  const schema = v.object(keys);
  const given = decodeAll(keys, values);
  const { output, faults } = judge(schema, given);
  const name = (path: readonly string[]) => `${namespace}:${path.map(printable).join(".")}`;
  const strangers = unknownKeys(schema, given).map(
    ({ path, known }) => `${name(path)} is not a config key; known are ${known.join(", ")}.`,
  );
  const wrong = faults.map(({ path, value, right }) => {
    const conceals = isSecret(path[0] ?? "") || isHidden(schema, path);
    return `${name(path)} is ${conceals ? concealed(value) : shown(value)}; it must be ${right}.`;
  });
  const inPlainText = credentialsIn(schema, given)
    .filter(({ path: [key = ""] }) => !isSecret(key))
    .map(({ path: [key = ""], credential }) => {
      return `${name([key])} holds ${credential} in plain text; set it with \`pulumi config set --secret\`.`;
    });
  const problems = [...strangers, ...wrong, ...new Set(inPlainText)];
  if (output === undefined || problems.length > 0) {
    throw new ConfigError(problems);
  }
  return output;
}

/** How Pulumi.yaml declares a key. */
export interface Declaration {
  type: "string" | "boolean" | "integer" | "array" | "object";
  /** What stands for a key that is not given; undefined where it must be given. */
  default: unknown;
}

export function declarationOf(key: v.GenericSchema): Declaration {
  const type = typeOf(unwrapped(key));
  // What is absent by default is declared as empty: Pulumi knows no other way to say that a key may be left out.
  const empty = { string: "", boolean: false, integer: 0, array: [], object: {} }[type];
  return { type, default: key.type === "exact_optional" ? empty : v.getDefault(key) };
}

function typeOf(schema: v.GenericSchema): Declaration["type"] {
  const { entries, value, item } = partsOf(schema);
  if (entries || value) {
    return "object";
  }
  if (item) {
    return "array";
  }
  const types: Record<string, Declaration["type"]> = { number: "integer", boolean: "boolean" };
  return types[schema.type] ?? "string";
}

function decodeAll(keys: v.ObjectEntries, values: StackConfig["values"]): Record<string, unknown> {
  const given: Record<string, unknown> = Object.create(null);
  for (const [key, text] of Object.entries(values)) {
    const schema = Object.hasOwn(keys, key) ? keys[key] : undefined;
    const { type, default: fallback } = schema ? declarationOf(schema as v.GenericSchema) : { type: "string" as const };
    const value = decode(text.trim(), type);
    const isEmpty = ["", [], {}].some((nothing) => isDeepStrictEqual(fallback, nothing));
    // Empty is the same as not given, where that is what not given means.
    if (!(isEmpty && (value === "" || isDeepStrictEqual(value, fallback)))) {
      given[key] = value;
    }
  }
  return given;
}

/** The value that the text stands for; the text itself where it stands for none of the type, for the schema to judge. */
function decode(text: string, type: Declaration["type"]): unknown {
  switch (type) {
    case "string":
      return text;
    case "boolean":
      return text === "true" || (text === "false" ? false : text);
    case "integer":
      return /^-?\d+$/.test(text) ? Number(text) : text;
    default:
      return decodeJson(text);
  }
}

function decodeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function printable(key: string): string {
  return /^[\w-]{1,60}$/.test(key) ? key : shown(key);
}
