import * as v from "valibot";
import { isRecord } from "./isRecord.ts";
import type { Secrecy } from "./schema.ts";
import { partsOf, schemaAt, unwrapped, visit } from "./schemaParts.ts";

/** A value that is not what its schema says. */
export interface Fault {
  /** Keys that lead to it. */
  path: readonly string[];
  /** Undefined where it is not there. */
  value: unknown;
  /** What it must be. */
  right: string;
}

/** Holds a value against its schema: finds every fault, the first one of each value, and has the output where there is none. */
export function judge<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): { output: v.InferOutput<Schema> | undefined; faults: Fault[] } {
  const result = v.safeParse(schema, value, { abortPipeEarly: true });
  if (result.success) {
    return { output: result.output, faults: [] };
  }
  const faults = result.issues.map((issue) => faultOf(schema, issue));
  // One for each list, however many of its entries are wrong.
  return { output: undefined, faults: [...new Map(faults.map((fault) => [fault.path.join("\0"), fault])).values()] };
}

function faultOf(schema: v.GenericSchema, issue: v.BaseIssue<unknown>): Fault {
  const items = issue.path ?? [];
  const list = items.findIndex(({ type }) => type === "array");
  const path = items.slice(0, list < 0 ? items.length : list).map(({ key }) => String(key));
  const value = list < 0 ? issue.input : items[list]?.input;
  // That a key is missing is told by the object, which does not know what the key is for.
  const isMissing = items.at(-1)?.origin === "key";
  return { path, value, right: isMissing ? rightOf(schemaAt(schema, path), issue) : issue.message };
}

function rightOf(schema: v.GenericSchema | undefined, issue: v.BaseIssue<unknown>): string {
  const { message = "there" } = (schema ?? {}) as { message?: string | ((issue: v.BaseIssue<unknown>) => string) };
  return typeof message === "string" ? message : message(issue);
}

/** Keys of objects, at any depth, that the schema does not know. */
export function unknownKeys(schema: v.GenericSchema, value: unknown): { path: string[]; known: string[] }[] {
  return [...visit(schema, value)].flatMap(({ schema, value, path }) => {
    const { entries } = partsOf(schema);
    if (!entries || !isRecord(value)) {
      return [];
    }
    const known = Object.keys(entries);
    return Object.keys(value)
      .filter((key) => !known.includes(key))
      .map((key) => ({ path: [...path, key], known }));
  });
}

/** What credentials the texts of a value hold, and where. */
export function credentialsIn(schema: v.GenericSchema, value: unknown): { path: string[]; credential: string }[] {
  return [...visit(schema, value)].flatMap(({ schema, value, path }) => {
    const credential = typeof value === "string" ? secrecyOf(schema).credential?.(value) : undefined;
    return credential === undefined ? [] : [{ path, credential }];
  });
}

/** Whether what stands at the path is hidden, is a part of what is, or may hold what is. */
export function isHidden(schema: v.GenericSchema, path: readonly string[]): boolean {
  const onTheWay = path.map((_key, at) => schemaAt(schema, path.slice(0, at + 1)));
  return onTheWay.some((part) => part && secrecyOf(part).hidden) || holdsHidden(onTheWay.at(-1));
}

function holdsHidden(schema: v.GenericSchema | undefined): boolean {
  if (schema === undefined) {
    return false;
  }
  const { entries = {}, item, value } = partsOf(schema);
  const inner = [...Object.values(entries).map(unwrapped), item, value];
  return secrecyOf(schema).hidden === true || inner.some(holdsHidden);
}

function secrecyOf(schema: v.GenericSchema): Secrecy {
  return v.getMetadata(schema) as Secrecy;
}
