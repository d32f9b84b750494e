import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { endLeftovers } from "../../local/updates.ts";

let folder: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-updates-"));
});
afterEach(() => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
  }
  for (const pid of [pidOf("engine"), pidOf("plugin")].filter((pid) => pid > 0 && lives(pid))) {
    process.kill(pid, "SIGKILL");
  }
  rmSync(folder, { recursive: true, force: true });
});

/** An engine that starts a plugin, which ignores hang-ups as a daemon does, and then does what the test says. */
function engine(then: string): void {
  const file = join(folder, "pulumi");
  writeFileSync(
    file,
    `#!/bin/sh\ncd '${folder}'\nsetsid sh -c 'echo $$ > plugin; exec sleep 300' &\nwhile ! [ -s plugin ]; do sleep 0.05; done\necho $$ > engine\n${then}\n`,
  );
  chmodSync(file, 0o755);
}

/** `runUpdate` in a process of its own, as `make up` is one. */
function update(): ChildProcess {
  const code = `import { runUpdate } from ${JSON.stringify(join(import.meta.dirname, "../../local/updates.ts"))};
    process.exitCode = await runUpdate(["up"], { cwd: ${JSON.stringify(folder)}, env: { ...process.env, PATH: ${JSON.stringify(folder)} + ":" + process.env.PATH } });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "ignore" });
  started.push(child);
  return child;
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !holds(); i++) {
    await sleep(50);
  }
  expect(holds()).toBe(true);
}

const ended = (child: ChildProcess) => new Promise((resolve) => child.on("close", resolve));
const pidOf = (name: string) => (existsSync(join(folder, name)) ? Number(readFileSync(join(folder, name), "utf8")) : 0);

function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe.runIf(process.platform === "linux")("what an update starts", () => {
  test("ends with an engine that was killed", async () => {
    engine("kill -9 $$");
    await ended(update());
    expect(pidOf("plugin")).toBeGreaterThan(0);
    expect(lives(pidOf("plugin"))).toBe(false);
  });

  test("ends with an engine that ends by itself, whose exit code is passed on", async () => {
    engine("exit 7");
    expect(await ended(update())).toBe(7);
    expect(lives(pidOf("plugin"))).toBe(false);
  });

  test("is ended by the next command when the engine and its watcher were killed both", async () => {
    engine("sleep 300");
    const child = update();
    await until(() => pidOf("engine") > 0);
    child.kill("SIGKILL");
    await ended(child);
    expect(lives(pidOf("plugin"))).toBe(true);
    process.kill(pidOf("engine"), "SIGKILL");
    // A test that runs at the same time may have been faster.
    await endLeftovers();
    expect(lives(pidOf("plugin"))).toBe(false);
  });

  test("is let alone while its update is at work", async () => {
    engine("sleep 300");
    update();
    await until(() => pidOf("engine") > 0);
    await endLeftovers();
    expect(lives(pidOf("plugin"))).toBe(true);
    expect(lives(pidOf("engine"))).toBe(true);
  });

  test("is interrupted, not killed, when the watcher is told to end", async () => {
    engine("trap 'echo interrupted > said; exit 3' INT\nwhile :; do sleep 0.1; done");
    const child = update();
    await until(() => pidOf("engine") > 0);
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(3);
    expect(readFileSync(join(folder, "said"), "utf8")).toBe("interrupted\n");
  });
});
