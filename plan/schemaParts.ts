// What a schema is made of: valibot keeps it in the open, as plain properties.
import type * as v from "valibot";
import { isRecord } from "./isRecord.ts";

/** A value and all that it holds, each with its schema. */
export function* visit(
  schema: v.GenericSchema,
  value: unknown,
  path: string[] = [],
): Generator<{ schema: v.GenericSchema; value: unknown; path: string[] }> {
  yield { schema, value, path };
  const children = isRecord(value) || Array.isArray(value) ? Object.entries(value) : [];
  for (const [key, child] of children) {
    const inner = childOf(schema, key);
    if (inner) {
      yield* visit(inner, child, [...path, key]);
    }
  }
}

/** The schema of what the path leads to; undefined where there is none. */
export function schemaAt(schema: v.GenericSchema, path: readonly string[]): v.GenericSchema | undefined {
  return path.reduce<v.GenericSchema | undefined>((at, key) => at && childOf(at, key), schema);
}

function childOf(schema: v.GenericSchema, key: string): v.GenericSchema | undefined {
  const { entries, item, value } = partsOf(schema);
  if (entries && !Object.hasOwn(entries, key)) {
    return undefined;
  }
  const child = entries?.[key] ?? item ?? value;
  return child && unwrapped(child);
}

interface Parts {
  entries?: Record<string, v.GenericSchema>;
  item?: v.GenericSchema;
  value?: v.GenericSchema;
}

/** The schemas of what a value holds: of the keys of an object, or of every entry of a list or a record. */
export function partsOf(schema: v.GenericSchema): Parts {
  return stepsOf(schema).find(({ type }) => type === "object" || type === "record" || type === "array") ?? {};
}

/** What a value goes through, one after the other. */
export function stepsOf(schema: v.GenericSchema): (v.GenericSchema & Parts)[] {
  const { pipe } = schema as { pipe?: v.GenericSchema[] };
  return pipe ? pipe.flatMap(stepsOf) : [schema];
}

/** The schema of a value that is there. */
export function unwrapped(schema: v.GenericSchema): v.GenericSchema {
  const { wrapped } = schema as { wrapped?: v.GenericSchema };
  return wrapped ? unwrapped(wrapped) : schema;
}
