import { join } from "node:path";
import { interactive, output } from "./exec.ts";
import { root } from "./paths.ts";

/**
 * Asks about everything that a stack's state names. The state is handed over in memory: it holds the credentials that are
 * needed for asking.
 *
 * @returns the exit code of scripts/drift.ts
 */
export async function drift(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  const state = await output("pulumi", ["stack", "export", "--show-secrets", "--stack", stack], { cwd: root, env });
  const script = [join(root, "scripts/drift.ts"), stack];
  return interactive(process.execPath, script, { cwd: root, env, stdio: [{ string: state }, "inherit", "inherit"] });
}
