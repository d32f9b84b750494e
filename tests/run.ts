import { spawn } from "node:child_process";

export interface Result {
  code: number;
  /** Standard output and error, as a person would see them. */
  text: string;
}

/** Runs a command to its end, whatever its exit code. */
export function run(command: string[], cwd: string, env: NodeJS.ProcessEnv, umask = 0o022): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", `umask ${umask.toString(8)}; exec "$@"`, "sh", ...command], { cwd, env });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
    child.stderr.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
    child.on("error", reject).on("close", (code) => resolve({ code: code ?? -1, text }));
  });
}
