import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultCacheDir } from "../artifacts/cacheDir.ts";
import { divert, say } from "./say.ts";

/** A step that runs now. */
interface Step {
  message: string;
  /** As `performance.now()` says it. */
  startedMs: number;
  /** Seconds that it took the last time on this machine, where that is known. */
  before: number | undefined;
}

/** A step that took less is told of by its beginning alone. */
const tellFromSeconds = 5;

const running = new Set<Step>();
let drawingElsewhere = 0;
let live: { timer: NodeJS.Timeout; lines: number } | undefined;

/**
 * Runs a step of the set-up and shows it: what runs, for how long, and how long it took the last time on this machine. On a
 * terminal the steps that run are lines that change, below what is done; a log gets a line at the beginning and one at the end.
 *
 * @param message what is done, as a participle; steps of the same message are the same step
 */
export async function timed<T>(message: string, work: () => Promise<T>): Promise<T> {
  const step: Step = { message, startedMs: performance.now(), before: durations()[message] };
  begin(step);
  let done = false;
  try {
    const result = await work();
    done = true;
    return result;
  } finally {
    const seconds = secondsOf(step);
    end(step);
    if (done) {
      tell(step, seconds);
      remember(message, seconds);
    }
  }
}

function secondsOf({ startedMs }: Step): number {
  return (performance.now() - startedMs) / 1000;
}

function begin(step: Step): void {
  running.add(step);
  if (!process.stderr.isTTY) {
    say(lineOf(step));
  } else if (live === undefined) {
    live = { timer: setInterval(draw, 1000).unref(), lines: 0 };
    divert((text) => {
      erase();
      process.stderr.write(text);
      draw();
    });
    draw();
  } else {
    draw();
  }
}

function end(step: Step): void {
  running.delete(step);
  if (live !== undefined) {
    erase();
    if (running.size === 0) {
      clearInterval(live.timer);
      live = undefined;
      divert(undefined);
    } else {
      draw();
    }
  }
}

function tell({ message }: Step, seconds: number): void {
  if (process.stderr.isTTY) {
    say(`${message}: done in ${round(seconds)} s`);
  } else if (seconds > tellFromSeconds) {
    say(`  done in ${round(seconds)} s: ${message}`);
  }
}

/** As it is shown while it runs. */
function lineOf(step: Step, seconds?: number): string {
  const before = step.before === undefined ? "" : `${round(step.before)} s last time`;
  const now = seconds === undefined ? "" : `${round(seconds)} s`;
  const times = [now, before].filter(Boolean).join(", ");
  return step.message + (times && ` (${times})`);
}

function draw(): void {
  if (live === undefined || drawingElsewhere > 0) {
    return;
  }
  erase();
  // A line that wraps would be two, of which only one is erased.
  const width = (process.stderr.columns || 80) - 1;
  const lines = [...running].map((step) => `[local] … ${lineOf(step, secondsOf(step))}`.slice(0, width));
  process.stderr.write(lines.map((line) => `${line}\n`).join(""));
  live.lines = lines.length;
}

function erase(): void {
  if (live !== undefined && live.lines > 0) {
    process.stderr.write(`\x1b[${live.lines}A\x1b[J`);
    live.lines = 0;
  }
}

/** Leaves the terminal to something else that draws there. */
export async function aside<T>(work: () => Promise<T>): Promise<T> {
  erase();
  drawingElsewhere++;
  try {
    return await work();
  } finally {
    drawingElsewhere--;
  }
}

function round(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0);
}

function durationsFile(): string {
  return join(defaultCacheDir(), "durations.json");
}

/** Seconds that each step took the last time, by message. */
function durations(): Record<string, number> {
  try {
    const found = Object.entries(JSON.parse(readFileSync(durationsFile(), "utf8")) as Record<string, unknown>);
    return Object.fromEntries(found.filter((each): each is [string, number] => typeof each[1] === "number"));
  } catch {
    return {};
  }
}

/** Where it cannot be written down, the next time is told without it. */
function remember(message: string, seconds: number): void {
  try {
    mkdirSync(defaultCacheDir(), { recursive: true });
    const part = `${durationsFile()}.new-${process.pid}`;
    const all = { ...durations(), [message]: Math.round(seconds * 10) / 10 };
    writeFileSync(part, `${JSON.stringify(all, undefined, 2)}\n`);
    renameSync(part, durationsFile());
  } catch {}
}
