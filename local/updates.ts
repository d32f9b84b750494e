import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { which } from "./exec.ts";
import { Failure, say } from "./say.ts";

/** In the environment of an update and of all that it starts: `<id of the process that watches over it>-<random>`. */
const mark = "FACECRAFT_UPDATE";

/**
 * Runs the engine on this terminal and returns its exit code. What it started ends with it: a plugin that outlives a killed
 * engine would go on building, and push. Should this process be the one that is killed, the engine is interrupted.
 */
export async function runUpdate(
  args: readonly string[],
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<number> {
  const own = `${process.pid}-${randomUUID()}`;
  const [program = "", ...rest] = [...endedWithParent(), "pulumi", ...args];
  const child = spawn(program, rest, { cwd, env: { ...env, [mark]: own }, stdio: "inherit" });
  // A terminal sends Ctrl-C to the engine as well, which ends in an orderly way; so this process only has to wait for it.
  const wait = () => {};
  const interrupt = () => child.kill("SIGINT");
  process.on("SIGINT", wait).on("SIGTERM", interrupt).on("SIGHUP", interrupt);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => reject(new Failure(`\`pulumi\` cannot be run: ${error.message}`)));
      child.on("close", (code, signal) => resolve(code ?? (signal ? 128 : 1)));
    });
  } finally {
    process.off("SIGINT", wait).off("SIGTERM", interrupt).off("SIGHUP", interrupt);
    await end(marked().filter(({ update }) => update === own));
  }
}

/** Without the mark: for a program that is meant to outlive the command that starts it. */
export function unmarked(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { [mark]: _, ...others } = env;
  return others;
}

/** Marks all that this process starts from here on, but for daemons: what it leaves behind when it is killed, the next one ends. */
export function markChildren(): void {
  process.env[mark] = `${process.pid}-${randomUUID()}`;
}

/** Ends what updates have left behind whose watcher is gone, too. Returns how many processes that were. */
export async function endLeftovers(): Promise<number> {
  const processes = marked();
  const engines = new Set(processes.filter(({ command }) => isEngine(command)).map(({ update }) => update));
  // An engine that lives may be at work; what belongs to it is not ours to end.
  const left = processes.filter(({ update }) => !engines.has(update) && !isAlive(Number.parseInt(update, 10)));
  await end(left);
  return left.length;
}

/** Says how many processes of others were ended. */
export function sayEnded(count: number): void {
  if (count > 0) {
    say(`ended ${count} ${count === 1 ? "process" : "processes"} that a killed update had left behind`);
  }
}

interface Marked {
  pid: number;
  update: string;
  command: string;
}

/** Processes with a mark in their environment, which Linux shows to their owner; elsewhere none are found. */
function marked(): Marked[] {
  const found: Marked[] = [];
  for (const pid of process.platform === "linux" ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : []) {
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      const update = variables.find((variable) => variable.startsWith(`${mark}=`))?.slice(mark.length + 1);
      if (update !== undefined && Number(pid) !== process.pid) {
        found.push({ pid: Number(pid), update, command: readFileSync(`/proc/${pid}/cmdline`, "utf8") });
      }
    } catch {
      // It has ended meanwhile, or is somebody else's.
    }
  }
  return found;
}

function isEngine(command: string): boolean {
  return /(^|\/)pulumi$/.test(command.split("\0")[0] ?? "");
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function end(processes: readonly Marked[]): Promise<void> {
  const left = () =>
    processes.filter(({ pid, update }) => marked().some((now) => now.pid === pid && now.update === update));
  signal(processes, "SIGTERM");
  for (let i = 0; i < 30 && left().length > 0; i++) {
    await sleep(100);
  }
  signal(left(), "SIGKILL");
}

function signal(processes: readonly Marked[], name: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name);
    } catch {
      // It was faster.
    }
  }
}

/** The kernel interrupts the engine when this process dies, where util-linux's `setpriv` can ask it to. */
function endedWithParent(): string[] {
  const setpriv = process.platform === "linux" ? which("setpriv") : undefined;
  return setpriv ? [setpriv, "--pdeathsig", "INT", "--"] : [];
}
