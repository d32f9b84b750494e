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
