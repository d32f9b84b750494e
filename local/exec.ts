import { type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Failure } from "./say.ts";

/** Runs a program and returns its standard output. @throws Failure with the end of what it said when it fails. */
export async function output(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let stdout = "";
  let all = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => {
    stdout += text;
    all += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    all += text;
  });
  const code = await exit(child);
  if (code !== 0) {
    const end = all.trim().split("\n").slice(-15).join("\n");
    throw new Failure(`\`${[program, ...args].join(" ")}\` failed (exit code ${code}):\n${end}`);
  }
  return stdout;
}

/** Runs a program on this terminal and returns its exit code. */
export function interactive(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<number> {
  return exit(spawn(program, args, { stdio: "inherit", ...options }));
}

function exit(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Failure(`\`${child.spawnfile}\` cannot be run: ${error.message}`)));
    child.on("close", (code, signal) => resolve(code ?? (signal ? 128 : 1)));
  });
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
