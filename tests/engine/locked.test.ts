import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { locksOf, refuseLocked } from "../../local/locks.ts";
import { root } from "../../local/paths.ts";
import { unlock } from "../../local/unlock.ts";
import { Clone } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

const stack = () => ({ state: clone.state, project: "facecraft", stack: "local" });

/** An update as `make up` runs it, in a process of its own. */
function update(): ChildProcess {
  const args = [
    "up",
    "--stack",
    "local",
    "--config-file",
    clone.configFile,
    "--yes",
    "--skip-preview",
    "--non-interactive",
  ];
  const code = `import { runUpdate } from ${JSON.stringify(join(root, "local/updates.ts"))};
    process.exitCode = await runUpdate(${JSON.stringify(args)}, { cwd: ${JSON.stringify(clone.folder)}, env: process.env });`;
  return spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "ignore", env: clone.environment });
}

/** Command lines of this clone's processes, by their ids. */
function processes(): Map<number, string> {
  const found = new Map<number, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/environ`, "utf8").includes(`file://${clone.state}`)) {
        found.set(Number(pid), readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "));
      }
    } catch {
      // It has ended.
    }
  }
  return found;
}

const plugin = () => [...processes().values()].some((command) => command.includes("pulumi-resource-docker-build"));

test("an update that is killed leaves no plugin behind, says how to go on, and the next one ends what it began", async () => {
  const killed = update();
  const ended = new Promise((resolve) => killed.on("close", resolve));
  while (!(plugin() && locksOf(stack()).length > 0)) {
    expect(killed.exitCode).toBeNull();
    await sleep(50);
  }
  const [lock] = locksOf(stack());
  expect(lock).toMatchObject({ alive: true });
  await expect(unlock(stack(), true)).rejects.toThrow(`process ${lock?.pid}`);

  process.kill(lock?.pid as number, "SIGKILL");
  await ended;
  expect([...processes().values()]).toEqual([]);
  expect(() => refuseLocked(stack(), "make unlock")).toThrow("Type `make unlock`");
  await unlock(stack(), false);
  expect(existsSync(lock?.file ?? "")).toBe(false);

  const { code, text } = await clone.up();
  expect({ code, text }).toSucceed();
  expect(await clone.tags()).toHaveLength(2);
  // All of the state is in files that are replaced as a whole: a kill between two of them would leave what cannot be read.
  expect(readdirSync(clone.state, { recursive: true }).filter((file) => String(file).endsWith(".attrs"))).toEqual([]);
});
