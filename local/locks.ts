import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Failure } from "./say.ts";

/** A lock that an update has put on a stack of a backend that is a folder. */
export interface Lock {
  file: string;
  pid: number;
  /** `user@host`. */
  holder: string;
  since: string;
  /** Whether the process still runs; undefined where that cannot be told, because it is another machine's. */
  alive: boolean | undefined;
}

/** How a stack of a folder is named in full: its locks lie in a folder of that name. */
export interface LockedStack {
  /** Folder that holds the state. */
  state: string;
  project: string;
  stack: string;
}

/**
 * The locks of a stack. Pulumi keeps each as a JSON file {pid, username, hostname, timestamp}
 * (`pkg/backend/diy/lock.go`), and an update that was killed leaves its own behind.
 */
export function locksOf({ state, project, stack }: LockedStack): Lock[] {
  const folder = join(state, ".pulumi", "locks", "organization", project, stack);
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
  return files.map((name) => readLock(join(folder, name)));
}

function readLock(file: string): Lock {
  const { pid = 0, username = "somebody", hostname: host = hostname(), timestamp = "" } = parsed(file);
  const since = new Date(timestamp);
  const known = !Number.isNaN(since.getTime());
  return {
    file,
    pid,
    holder: `${username}@${host}`,
    since: known ? `since ${since.toISOString().replace(/\.\d+Z$/, "Z")}` : "since an unknown time",
    alive: host === hostname() ? pid > 0 && startedBefore(pid, known ? since : new Date()) : undefined,
  };
}

/** A kill can leave half a file: then nobody is known to hold the lock. */
function parsed(file: string): Partial<Record<"username" | "hostname" | "timestamp", string> & { pid: number }> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) ?? {};
  } catch {
    return {};
  }
}

/**
 * A number alone proves nothing, it may be another process by now: the holder is a Pulumi, and older than its lock. One that
 * was killed and that nobody has waited for keeps its number; where no init does that, as in many containers, for good.
 */
function startedBefore(pid: number, moment: Date): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=,etime=,command=", "-p", String(pid)], { encoding: "utf8" });
  const [, state = "", days = "0", hours = "0", minutes = "0", seconds = "0", command = ""] =
    /^\s*(\S+)\s+(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)\s+(.*)/.exec(stdout) ?? [];
  const age = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  // `ps` counts whole seconds.
  return !state.startsWith("Z") && /\bpulumi\b/.test(command) && Date.now() - age * 1000 <= moment.getTime() + 2000;
}

/**
 * @param command what a person types to run this again, such as `make unlock`
 * @throws Failure when an update holds the stack, or has left its lock behind
 */
export function refuseLocked(stack: LockedStack, command: string): void {
  const [lock] = locksOf(stack);
  if (lock) {
    throw new Failure(
      lock.alive === false
        ? `The stack ${stack.stack} is locked by an update that no longer runs (${who(lock)}). Type \`${command}\`, then run this again.`
        : `The stack ${stack.stack} is being updated by ${who(lock)}. ${remedy(lock)}`,
    );
  }
}

export function who({ pid, holder, since }: Lock): string {
  return `${pid > 0 ? `process ${pid}` : "an unknown process"} of ${holder}, ${since}`;
}

/** What to do about a lock whose holder lives, or may live. */
export function remedy({ alive, pid, holder }: Lock): string {
  return alive
    ? `It still runs: wait for it, or end it with \`kill ${pid}\`, and run this again.`
    : `Whether it still runs can be told only on ${holder.split("@").at(-1)}. When it does not, \`FORCE=1 make unlock\` removes its lock.`;
}
