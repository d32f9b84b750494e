import { readFileSync } from "node:fs";
import { run as runProgram } from "../local/exec.ts";

export interface Result {
  code: number;
  /** Standard output and error, as a person would see them. */
  text: string;
}

/** Runs a command under an umask to its end, whatever its exit code. */
export async function run(command: string[], cwd: string, env: NodeJS.ProcessEnv, umask = 0o022): Promise<Result> {
  const script = `umask ${umask.toString(8)}; exec "$@"`;
  const { code, text } = await runProgram("/bin/sh", ["-c", script, "sh", ...command], { cwd, env });
  return { code, text: text && `${text}\n` };
}

/** What a command says of itself: another test may just have killed an update, whose processes `make down` ends. */
export function saidOfItself({ text }: Result): string {
  return text.replace(/^\[local\] ended .* that a killed update had left behind$/m, "").trim();
}

/** Whether a process runs, on Linux: one that has ended, and that nobody has asked about yet, has no command line. */
export function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}
