import { spawn } from "node:child_process";
import { which } from "./exec.ts";

/**
 * The program that opens a page in the browser of the person at this terminal; none where nobody would see it: in CI, when the
 * output goes to a file, or where there is no display.
 */
export function pageOpener(
  env: NodeJS.ProcessEnv,
  { terminal, platform }: { terminal: boolean; platform: NodeJS.Platform },
): string | undefined {
  if (!terminal || env.CI) {
    return undefined;
  }
  if (platform === "darwin") {
    return env.SSH_CONNECTION ? undefined : which("open", env.PATH);
  }
  return env.DISPLAY || env.WAYLAND_DISPLAY ? which("xdg-open", env.PATH) : undefined;
}

/** Opens a file in a browser where there is one. The browser runs on by itself. @returns whether one was started */
export function openPage(file: string, env: NodeJS.ProcessEnv = process.env): boolean {
  const program = pageOpener(env, { terminal: process.stdout.isTTY === true, platform: process.platform });
  if (program === undefined) {
    return false;
  }
  const child = spawn(program, [file], { detached: true, stdio: "ignore", env });
  child.on("error", () => {}); // the report is there all the same
  child.unref();
  return true;
}
