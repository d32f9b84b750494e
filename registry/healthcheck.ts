// An image's health check, and durations as Docker writes them. It needs nothing but the language, so that deploy stacks can
// use it too.
import { ActionableError } from "../artifacts/errors.ts";

/** A health check, as far as this project uses it. */
export interface Healthcheck {
  path: string;
  port: number;
  /** Durations as the Dockerfile writes them, for example "30s". */
  interval: string;
  timeout: string;
  startPeriod: string;
  retries: number;
}

/** How our images check their health: a program in them asks the path that a variable of their environment holds. */
export const healthcheckProbe = { command: ["healthcheck"], pathVariable: "HEALTHCHECK_PATH" } as const;

const nanosecondsOf = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A duration of Go, and so of Docker: 30s, 1m30s, 0.5h. */
export const durationPattern = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|[uµ]s|ms|[smh]))+$/;

/** Docker keeps durations in nanoseconds. */
export function nanoseconds(duration: string): number {
  if (!durationPattern.test(duration)) {
    throw new ActionableError(`"${duration}" is no duration; it must be one such as 30s or 1m30s.`);
  }
  const parts = [...duration.matchAll(/([\d.]+)([a-zµ]+)/g)];
  const sum = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * nanosecondsOf[unit as Unit], 0);
  return Math.round(sum);
}

export function seconds(duration: string): number {
  return nanoseconds(duration) / 1e9;
}

type Unit = keyof typeof nanosecondsOf;
