import { spawn, spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { paths } from "./paths.ts";
import { Failure } from "./say.ts";
import { unmarked } from "./updates.ts";

/** A program that runs on after the command that started it. */
export interface Daemon {
  /** Its pid file and its log are named after it. */
  name: string;
  /** What its command line holds, and that of no other program. */
  sign: string;
  /** Whether it can be used by now. */
  answers(): Promise<boolean>;
}

/** How a daemon is started. */
export interface Start {
  command: readonly [string, ...string[]];
  env: NodeJS.ProcessEnv;
}

const startSeconds = 30;
const stopSeconds = 30;

/** The process writes itself down and then becomes the program: whoever is killed meanwhile, what runs can be found. */
const writeDown = 'echo $$ >"$0" && exec "$@"';

/**
 * Starts a daemon and waits until it answers.
 *
 * @throws Failure with the end of its log where it ends instead, or takes longer than half a minute
 */
export async function startDaemon(daemon: Daemon, { command, env }: Start): Promise<void> {
  await mkdir(paths.run, { recursive: true });
  const log = openSync(logFile(daemon), "a");
  const child = spawn("/bin/sh", ["-c", writeDown, pidFile(daemon), ...command], {
    detached: true,
    stdio: ["ignore", log, log],
    env: unmarked(env),
  });
  let ended = false;
  for (const event of ["error", "exit"]) {
    child.on(event, () => {
      ended = true;
    });
  }
  child.unref();
  if (!(await isUp(daemon, () => ended))) {
    const end = readFileSync(logFile(daemon), "utf8").trim().split("\n").slice(-5).join("\n");
    throw new Failure(`The local ${daemon.name} service did not start; the end of ${logFile(daemon)}:\n${end}`);
  }
}

/** Waits for a daemon that runs already: who started it may have been stopped before it answered. @throws Failure where it does not */
export async function awaitDaemon(daemon: Daemon): Promise<void> {
  if (!(await isUp(daemon, () => daemonPid(daemon) === undefined))) {
    throw new Failure(
      `The local ${daemon.name} service runs, but does not answer; \`make down\` stops it. Its log is ${logFile(daemon)}.`,
    );
  }
}

async function isUp(daemon: Daemon, ended: () => boolean): Promise<boolean> {
  const until = performance.now() + startSeconds * 1000;
  while (performance.now() < until && !ended()) {
    if (await daemon.answers()) {
      return true;
    }
    await sleep(100);
  }
  return false;
}

/** Stops a daemon, by the id that it wrote down when it was started. @returns whether it ran */
export async function stopDaemon(daemon: Pick<Daemon, "name" | "sign">): Promise<boolean> {
  const pid = daemonPid(daemon);
  if (pid !== undefined) {
    process.kill(pid, "SIGTERM");
    const until = performance.now() + stopSeconds * 1000;
    while (daemonPid(daemon) !== undefined && performance.now() < until) {
      await sleep(50);
    }
    if (daemonPid(daemon) !== undefined) {
      process.kill(pid, "SIGKILL");
    }
  }
  rmSync(pidFile(daemon), { force: true });
  return pid !== undefined;
}

/** The daemon's process, where it runs. A number alone proves nothing: it may belong to another program by now. */
export function daemonPid(daemon: Pick<Daemon, "name" | "sign">): number | undefined {
  return daemonCommand(daemon) === undefined ? undefined : writtenPid(daemon);
}

/** The command line of the daemon's process, where it runs. */
export function daemonCommand(daemon: Pick<Daemon, "name" | "sign">): string | undefined {
  const pid = writtenPid(daemon);
  const command = pid > 0 ? commandLine(pid) : "";
  return command.includes(daemon.sign) ? command : undefined;
}

/**
 * Whether a process, or one that it has started, is one of these programs in a version that has been replaced since: Linux then
 * says so behind its path. An ordinary user's buildkitd, for one, is started by the program that makes its namespace.
 */
export function runsReplaced(pid: number | undefined, programs: readonly string[]): boolean {
  try {
    const [, name = ""] = /([^/]*) \(deleted\)$/.exec(readlinkSync(`/proc/${pid}/exe`)) ?? [];
    const started = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
    return programs.includes(name) || started.some((child) => runsReplaced(child, programs));
  } catch {
    return false; // another system, another user's process, or one that has just ended
  }
}

/** Whether something accepts connections there. */
export function accepts(address: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function pidFile({ name }: Pick<Daemon, "name">): string {
  return join(paths.run, `${name}.pid`);
}

function logFile({ name }: Pick<Daemon, "name">): string {
  return join(paths.run, `${name}.log`);
}

function writtenPid(daemon: Pick<Daemon, "name">): number {
  const file = pidFile(daemon);
  return Number(existsSync(file) ? readFileSync(file, "utf8") : 0);
}

/** Of a process; empty where it does not run. Linux shows it in a file, which takes no process to read. */
function commandLine(pid: number): string {
  if (process.platform !== "linux") {
    return spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim();
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
  } catch {
    return "";
  }
}
