import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { isRunning } from "../run.ts";

test.runIf(process.platform === "linux").each(["command", "random", "dynamic-provider", "language-host"])(
  "the stand-in %s ends with the engine that started it, however that ends",
  async (name) => {
    const start = `"$0" local/standins/plugins/${name}.ts 127.0.0.1:1 >&2 & echo $!; wait`;
    const engine = spawn("sh", ["-c", start, process.execPath], { stdio: ["ignore", "pipe", "pipe"] });
    const [pid] = await once(engine.stdout, "data");
    // The port that it serves is what the engine waits for.
    await once(engine.stderr, "data");
    expect(isRunning(Number(pid))).toBe(true);
    engine.kill("SIGKILL");
    await expect.poll(() => isRunning(Number(pid)), { timeout: 10_000 }).toBe(false);
  },
);
