import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { runsReplaced } from "../../local/daemon.ts";
import { which } from "../../local/exec.ts";

test.runIf(process.platform === "linux")(
  "a program that was replaced is noticed behind the one that started it",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "facecraft-daemon-"));
    const program = join(folder, "buildkitd");
    copyFileSync(which("sleep") ?? "", program);
    const shell = spawn("sh", ["-c", `'${program}' 60; true`], { stdio: "ignore" });
    const started = () => readFileSync(`/proc/${shell.pid}/task/${shell.pid}/children`, "utf8").trim();
    try {
      while (!started()) {
        await sleep(10);
      }
      expect(runsReplaced(shell.pid, ["buildkitd"])).toBe(false);
      rmSync(program);
      expect(runsReplaced(shell.pid, ["buildkitd"])).toBe(true);
      expect(runsReplaced(shell.pid, ["rootlesskit"])).toBe(false);
      expect(runsReplaced(undefined, ["buildkitd"])).toBe(false);
    } finally {
      process.kill(Number(started()));
      rmSync(folder, { recursive: true });
    }
  },
);
