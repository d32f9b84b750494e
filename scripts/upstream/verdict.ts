import { ArtifactError } from "../../artifacts/errors.ts";
import { Refused, RegistryError, Unanswered } from "../../registry/errors.ts";

/**
 * What became of a thing. "gone": its server says that it is not there. "changed": it is there, and is another one than this
 * repository names. "not known": nobody answered, or the answer says nothing about it.
 */
export type State = "there" | "gone" | "changed" | "deprecated" | "not known";

export interface Verdict {
  state: State;
  detail: string;
}

export const there = (detail: string): Verdict => ({ state: "there", detail });
export const gone = (detail: string): Verdict => ({ state: "gone", detail });
export const changed = (detail: string): Verdict => ({ state: "changed", detail });
export const notKnown = (detail: string): Verdict => ({ state: "not known", detail });

/** What an error of a request says about the thing that was asked for. @throws what is no such error */
export function verdictOf(error: unknown): Verdict {
  if (error instanceof ArtifactError) {
    return error.code === "gone" ? gone(error.message) : notKnown(error.message);
  }
  if (error instanceof RegistryError) {
    return error instanceof Refused && [404, 410].includes(error.status)
      ? gone(error.message)
      : notKnown(error.message);
  }
  throw error;
}

/** Whether another attempt could end otherwise, and whether nobody answered at all. */
export function isPassing(error: unknown): { passing: boolean; silent: boolean } {
  if (error instanceof ArtifactError) {
    const passing = error.code === "unreachable";
    return { passing, silent: passing && !error.answered };
  }
  const silent = error instanceof Unanswered;
  const passing = silent || (error instanceof Refused && error.status >= 500);
  return { passing, silent };
}
