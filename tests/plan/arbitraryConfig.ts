import fc from "fast-check";
import type * as v from "valibot";
import { isRecord } from "../../plan/isRecord.ts";
import { partsOf, stepsOf, unwrapped } from "../../plan/schemaParts.ts";

/** Right values that a schema does not tell how to make, by the last key of their path. */
export type Samples = Readonly<Record<string, fc.Arbitrary<unknown>>>;

type Keys = v.ObjectEntries;
type Values = Record<string, unknown>;

/** Right configs, made from the schemas alone wherever they say enough. */
export function rightConfig(keys: Keys, samples: Samples): fc.Arbitrary<Values> {
  const required = Object.keys(keys).filter((key) => !/optional/.test(keys[key]?.type ?? ""));
  const arbitraries = Object.entries(keys).map(([key, schema]) => {
    return [key, samples[key] ?? rightValue(unwrapped(schema as v.GenericSchema), samples)];
  });
  return fc.record(Object.fromEntries(arbitraries), { requiredKeys: required, noNullPrototype: true });
}

function rightValue(schema: v.GenericSchema, samples: Samples): fc.Arbitrary<unknown> {
  const { entries, item } = partsOf(schema);
  if (entries) {
    return rightConfig(entries as Keys, samples);
  }
  const { options } = schema as { options?: readonly string[] };
  const steps = stepsOf(schema) as { type: string; requirement?: number }[];
  const limit = (type: string) => steps.find((step) => step.type === type)?.requirement;
  if (item) {
    return fc.array(rightValue(unwrapped(item), samples), { minLength: limit("min_length") ?? 0 });
  }
  if (options) {
    return fc.constantFrom(...options);
  }
  switch (schema.type) {
    case "boolean":
      return fc.boolean();
    case "number":
      return fc.integer({ min: limit("min_value") ?? 0, max: limit("max_value") ?? 0 });
    default:
      return fc.stringMatching(limit("regex") as unknown as RegExp);
  }
}

/** As Pulumi hands a config over. */
export function encoded(config: Values): Record<string, string> {
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, text(value)]));
}

export interface Mistake {
  /** What a message must name. */
  path: string[];
  values: Record<string, string>;
}

/** A right config in which one thing was made wrong. */
export function mistaken(keys: Keys, config: Values): fc.Arbitrary<Mistake> {
  const places = [...placesIn(keys, config, config)];
  return fc
    .constantFrom(...places)
    .chain(({ path, wrong }) => wrong.map((change) => ({ path, values: encoded(change as Values) })));
}

/** Changes that put something wrong at each place of the config, an unknown key into each object, or take a key away. */
function* placesIn(
  keys: Keys,
  values: Values,
  config: Values,
  path: string[] = [],
): Generator<{ path: string[]; wrong: fc.Arbitrary<unknown> }> {
  const unknown = "facecraft";
  yield { path: [...path, unknown], wrong: nonsense.map((value) => replaced(config, [...path, unknown], value)) };
  for (const [key, value] of Object.entries(values)) {
    const here = [...path, key];
    const wrong = path.length === 0 && typeof value === "string" ? noText : nonsense.filter(isOfOtherKind(value));
    yield { path: here, wrong: wrong.map((other) => replaced(config, here, other)) };
    const { entries } = partsOf(unwrapped(keys[key] as v.GenericSchema));
    if (Array.isArray(value) && value.length > 0) {
      const first = nonsense.filter(isOfOtherKind(value[0]));
      yield { path: here, wrong: first.map((other) => replaced(config, here, [...value, other])) };
    }
    if (entries && isRecord(value)) {
      yield* placesIn(entries as Keys, value, config, here);
    }
    if (!/optional/.test(keys[key]?.type ?? "")) {
      yield { path: here, wrong: fc.constant(replaced(config, here, undefined)) };
    }
  }
}

const deep = JSON.parse(`${"[".repeat(2000)}${"]".repeat(2000)}`);

/** Texts that no key takes for right, and values of every kind. */
const noText = fc.oneof(
  fc.string().map((text) => `a${text} \0b`),
  fc.constant("a ".repeat(100_000).trim()),
);
const nonsense = fc.oneof(fc.constantFrom(null, true, 5, 0.5, [], {}, [null], { x: 1 }, deep), noText);

function isOfOtherKind(right: unknown) {
  const kind = (value: unknown) => (Array.isArray(value) ? "list" : value === null || typeof value);
  return (value: unknown) => kind(value) !== kind(right);
}

function replaced(values: Values, [key = "", ...rest]: readonly string[], value: unknown): Values {
  const { [key]: old, ...others } = values;
  const now = rest.length === 0 ? value : replaced(old as Values, rest, value);
  return now === undefined ? others : { ...others, [key]: now };
}
