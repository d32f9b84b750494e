import { ActionableError } from "../artifacts/errors.ts";

/** What this command is doing, on standard error: standard output belongs to results such as `make outputs`. */
export function say(message: string): void {
  process.stderr.write(`[local] ${message}\n`);
}

/** A failure of what brings up the tools and services. */
export class Failure extends ActionableError {}

/** Says what takes long, and how long it took. */
export async function timed<T>(message: string, work: () => Promise<T>): Promise<T> {
  say(message);
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1000;
  if (seconds > 5) {
    say(`  done in ${seconds.toFixed(0)} s: ${message}`);
  }
  return result;
}
