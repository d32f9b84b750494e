import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withLock } from "../artifacts/lock.ts";
import { output } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { Failure } from "./say.ts";
import { timed } from "./timeline.ts";

const requirements = join(root, "local/tools/python/requirements.txt");

/** A Python environment for just these versions of the tools; the user's own stays as it is. */
const folder = join(
  tools,
  `python-${createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12)}`,
);

/** Path of a program of the Python tools, whether they are there yet or not. */
export function pythonTool(name: "hadolint" | "python" | "ruff" | "shellcheck"): string {
  return join(folder, "bin", name);
}

/** Installs the Python tools where they are not there yet, each file checked by its hash. */
export async function obtainPythonTools(): Promise<void> {
  const complete = join(folder, "complete");
  if (existsSync(complete)) {
    return;
  }
  await mkdir(tools, { recursive: true });
  await withLock(`python ${tools}`, async () => {
    if (existsSync(complete)) {
      return;
    }
    await rm(folder, { recursive: true, force: true });
    await timed("installing linters from PyPI", async () => {
      try {
        await output("python3", ["-m", "venv", folder]);
        const options = ["--disable-pip-version-check", "--quiet", "--require-hashes", "--only-binary", ":all:"];
        await output(pythonTool("python"), ["-m", "pip", "install", ...options, "-r", requirements]);
      } catch (error) {
        const needed =
          "They take Python 3 with its module venv (Debian: python3-venv) and a package index that pip reaches.";
        throw new Failure(`The linters cannot be installed. ${needed}\n${(error as Error).message}`);
      }
    });
    await writeFile(complete, "");
  });
}

/** Every shell script of the project: what has no suffix in the folder of the Dockerfiles' scripts, and those that start all. */
export function shellScripts(): string[] {
  const entries = readdirSync(join(root, "docker/scripts"), { withFileTypes: true });
  const scripts = entries.filter((entry) => entry.isFile() && !entry.name.includes("."));
  return ["local/run", ".ci/run", ...scripts.map(({ name }) => `docker/scripts/${name}`)];
}
