// How a test whose cases fast-check makes up is run: FACECRAFT_FUZZ_RUNS tries more cases than CI does; FACECRAFT_FUZZ_SEED (and
// FACECRAFT_FUZZ_PATH, with `-t` and the test's name) replay a failure.
import type { Parameters } from "fast-check";

const { FACECRAFT_FUZZ_RUNS, FACECRAFT_FUZZ_SEED, FACECRAFT_FUZZ_PATH } = process.env;

/** Whether a person asked for a number of cases, and may want to see each. */
export const isAskedFor = Boolean(FACECRAFT_FUZZ_RUNS);

export interface Fuzz {
  runs: number;
  seed: number;
  /** For `fc.assert`: a failure tells what failed, also where only its message is kept, as in a report in JSON. */
  parameters: Parameters<unknown>;
}

/**
 * @param runs how many cases CI tries
 * @param seed the same cases every time: for what all changes of the project must hold alike
 */
export function fuzz(runs: number, seed = Date.now() & 0x7fffffff): Fuzz {
  const asked = { runs: Number(FACECRAFT_FUZZ_RUNS || runs), seed: Number(FACECRAFT_FUZZ_SEED || seed) };
  const path = FACECRAFT_FUZZ_PATH ? { path: FACECRAFT_FUZZ_PATH } : {};
  return {
    ...asked,
    parameters: { numRuns: asked.runs, seed: asked.seed, ...path, endOnFailure: true, includeErrorInReport: true },
  };
}
