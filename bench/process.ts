import { readFileSync } from "node:fs";
import spawn, { type SubprocessError } from "nano-spawn";

export interface Usage {
  /** Seconds from start to end. */
  wallS: number;
  /** Processor seconds of the process and all that it started. */
  cpuS: number;
  /** Highest sum of resident memory of the process and all that it started, in MB, by samples. */
  peakMB: number;
  stdout: string;
}

/** Runs a command to its end. @throws Error with what it said when it fails. */
export async function run(command: string, args: readonly string[]): Promise<Usage> {
  const timed = ["-c", 'TIMEFORMAT="%R %U %S"; time "$@"', "bash", command, ...args];
  const running = spawn("bash", timed, { stdin: "ignore" });
  const { pid = 0 } = await running.nodeChildProcess;
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, treeMemory(pid));
  }, 50);
  try {
    const { stdout, stderr } = await running;
    const [, wall, user, system] = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? [];
    return { wallS: Number(wall), cpuS: Number(user) + Number(system), peakMB: peak, stdout };
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")} failed: ${(error as SubprocessError).stderr}`);
  } finally {
    clearInterval(timer);
  }
}

/** MB of resident memory of a process and its descendants; 0 where there is no /proc. Reads only their own entries. */
function treeMemory(pid: number): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
    return (pages * 4096) / 1e6 + children.reduce((sum, child) => sum + treeMemory(Number(child)), 0);
  } catch {
    return 0; // It ended meanwhile.
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
