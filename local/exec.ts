import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import spawn, { type Options, type SubprocessError } from "nano-spawn";
import { Failure } from "./say.ts";

/** How a program ended. The last newline of what it said is left out. */
export interface Ended {
  /** Its exit code; 128 for one that was killed. */
  code: number;
  stdout: string;
  /** Standard output and error, as a person would see them. */
  text: string;
}

/** Runs a program to its end, whatever its exit code. The environment that is given is its whole one. */
export async function run(program: string, args: readonly string[], options: Options = {}): Promise<Ended> {
  const own: Options = { stdin: "ignore", ...options, ...(options.env && { env: whole(options.env) }) };
  try {
    // By its path: to the name `node`, nano-spawn adds this process' own flags, and under `node -e` that is the whole script.
    const { stdout, output } = await spawn(program === "node" ? process.execPath : program, args, own);
    return { code: 0, stdout, text: output };
  } catch (error) {
    const { exitCode, signalName, stdout, output, cause } = error as SubprocessError;
    if (exitCode === undefined && signalName === undefined) {
      throw new Failure(`\`${program}\` cannot be run: ${((cause ?? error) as Error).message}`);
    }
    return { code: exitCode ?? 128, stdout, text: output };
  }
}

/** Runs a program and returns its standard output. @throws Failure with the end of what it said when it fails. */
export async function output(program: string, args: readonly string[], options?: Options): Promise<string> {
  const { code, stdout, text } = await run(program, args, options);
  if (code !== 0) {
    const end = text.trim().split("\n").slice(-15).join("\n");
    throw new Failure(`\`${[program, ...args].join(" ")}\` failed (exit code ${code}):\n${end}`);
  }
  return stdout;
}

/** Runs a program on this terminal and returns its exit code. */
export async function interactive(program: string, args: readonly string[], options?: Options): Promise<number> {
  return (await run(program, args, { stdio: "inherit", ...options })).code;
}

/** nano-spawn adds a given environment to that of this process; what is left out of it shall be absent. */
function whole(env: NonNullable<Options["env"]>): NonNullable<Options["env"]> {
  return { ...Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined])), ...env };
}

/** Full path of a program on the PATH. */
export function which(program: string, path = process.env.PATH ?? ""): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
