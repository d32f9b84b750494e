import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { locksOf, refuseLocked } from "../../local/locks.ts";
import { claim, unlock } from "../../local/unlock.ts";

let state: string;
let lockFile: string;
const stack = () => ({ state, project: "facecraft", stack: "local" });

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "facecraft-state-"));
  const folder = join(state, ".pulumi/locks/organization/facecraft/local");
  mkdirSync(folder, { recursive: true });
  lockFile = join(folder, "0f3c.json");
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

function lock(content: object | string): void {
  writeFileSync(lockFile, typeof content === "string" ? content : JSON.stringify(content));
}

const by = (pid: number, more: object = {}) => ({
  ...{ pid, username: "ann", hostname: hostname(), timestamp: new Date().toISOString() },
  ...more,
});

/** A process that looks like the engine to `ps`, until the test has ended. */
async function engine<T>(work: (pid: number) => Promise<T>): Promise<T> {
  const child = spawn("bash", ["-c", "exec -a pulumi sleep 60"]);
  try {
    return await work(child.pid as number);
  } finally {
    child.kill("SIGKILL");
  }
}

function isZombie(pid: number): boolean {
  return spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.startsWith("Z");
}

const longGone = 2 ** 22 - 3;

describe("a stack that is locked", () => {
  test("by an update that was killed says the one command to type", () => {
    lock(by(longGone));
    expect(() => refuseLocked(stack(), "make unlock")).toThrow(
      /^The stack local is locked by an update that no longer runs \(process \d+ of ann@\S+, since \d{4}-\S+Z\)\. Type `make unlock`, then run this again\.$/,
    );
  });

  test("by an update that was killed is free after unlock", async () => {
    lock(by(longGone));
    await unlock(stack(), false);
    expect(locksOf(stack())).toEqual([]);
    expect(() => refuseLocked(stack(), "make unlock")).not.toThrow();
  });

  test("by an update that runs stays locked, whatever is forced", async () => {
    await engine(async (pid) => {
      // `ps` counts whole seconds.
      lock(by(pid, { timestamp: new Date(Date.now() + 1500).toISOString() }));
      for (const force of [false, true]) {
        await expect(unlock(stack(), force)).rejects.toThrow(
          `It still runs: wait for it, or end it with \`kill ${pid}\``,
        );
      }
    });
    expect(existsSync(lockFile)).toBe(true);
  });

  test("by an update that was killed, and that nobody has waited for, is held by nobody", async () => {
    const program = join(state, "pulumi");
    writeFileSync(program, "#!/bin/sh\nsleep 0.1\n", { mode: 0o755 });
    // `sleep` takes the place of the shell that started it, and waits for no child.
    const parent = spawn("sh", ["-c", '"$0" & echo $!; exec sleep 60', program]);
    try {
      const pid = await new Promise<number>((done) => parent.stdout.once("data", (line) => done(Number(line))));
      while (!isZombie(pid)) {
        await sleep(20);
      }
      lock(by(pid, { timestamp: new Date(Date.now() + 1500).toISOString() }));
      expect(locksOf(stack())).toMatchObject([{ pid, alive: false }]);
    } finally {
      parent.kill("SIGKILL");
    }
  });

  test("by a process whose number now belongs to a younger one is not held", async () => {
    await engine(async (pid) => {
      lock(by(pid, { timestamp: "2020-01-01T00:00:00Z" }));
      expect(locksOf(stack())).toMatchObject([{ pid, alive: false }]);
    });
  });

  test("by a process that is no engine is not held", () => {
    lock(by(process.pid));
    expect(locksOf(stack())).toMatchObject([{ alive: false }]);
  });

  test("from another machine is unlocked only by force, because nobody here knows whether it runs", async () => {
    lock(by(longGone, { hostname: "elsewhere" }));
    await expect(unlock(stack(), false)).rejects.toThrow(/can be told only on elsewhere.*FORCE=1 make unlock/);
    await unlock(stack(), true);
    expect(locksOf(stack())).toEqual([]);
  });

  test.each(["", "{", "null", "[]", '{"pid":"x"}', '{"timestamp":"never"}'])(
    "by half a file %j is free after unlock",
    async (text) => {
      lock(text);
      expect(() => refuseLocked(stack(), "make unlock")).toThrow("Type `make unlock`");
      await unlock(stack(), false);
      expect(existsSync(lockFile)).toBe(false);
    },
  );
});

describe("before an update", () => {
  test("the lock of one that was killed comes off by itself", async () => {
    lock(by(longGone));
    await claim(stack(), "make unlock");
    expect(existsSync(lockFile)).toBe(false);
  });

  test("what may be held stays", async () => {
    lock(by(longGone, { hostname: "elsewhere" }));
    await expect(claim(stack(), "make unlock")).rejects.toThrow("can be told only on elsewhere");
    expect(existsSync(lockFile)).toBe(true);
  });

  test("one that is at work is waited for, and then is in the way", async () => {
    await engine(async (pid) => {
      await sleep(1100);
      lock(by(pid));
      await expect(claim(stack(), "make unlock", 700)).rejects.toThrow(`kill ${pid}`);
      setTimeout(() => process.kill(pid, "SIGKILL"), 700);
      await claim(stack(), "make unlock", 20_000);
      expect(existsSync(lockFile)).toBe(false);
    });
  });

  test("other commands are kept out until the process ends, and are told so", async () => {
    const module = JSON.stringify(join(process.cwd(), "local/unlock.ts"));
    const script = `import { claim } from ${module}; await claim(${JSON.stringify(stack())}, "make unlock");
      console.log("claimed"); setTimeout(() => {}, 60_000);`;
    const first = spawn(process.execPath, ["--input-type=module", "-e", script]);
    try {
      await new Promise((resolve) => first.stdout.once("data", resolve));
      await expect(claim(stack(), "make unlock", 500)).rejects.toThrow(
        "Another command is still at work on the stack local.",
      );
      setTimeout(() => first.kill("SIGKILL"), 500);
      await claim(stack(), "make unlock", 20_000);
    } finally {
      first.kill("SIGKILL");
    }
  });

  test("a command that has ended lets the one in that waits for it", async () => {
    const module = JSON.stringify(join(process.cwd(), "local/unlock.ts"));
    const script = `import { claim } from ${module}; await claim(${JSON.stringify(stack())}, "make unlock");
      console.log("claimed"); await new Promise((resolve) => setTimeout(resolve, 1000));`;
    const first = spawn(process.execPath, ["--input-type=module", "-e", script]);
    const ended = new Promise((resolve) => first.on("exit", resolve));
    await new Promise((resolve) => first.stdout.once("data", resolve));
    await claim(stack(), "make unlock", 10_000);
    expect(await ended).toBe(0);
  });

  test("a lock that is being written is read again", async () => {
    lock("{");
    setTimeout(() => lock(by(longGone, { hostname: "elsewhere" })), 300);
    await expect(claim(stack(), "make unlock")).rejects.toThrow("can be told only on elsewhere");
    expect(existsSync(lockFile)).toBe(true);
  });
});

test("a stack that is not locked is let through", () => {
  expect(() => refuseLocked(stack(), "make unlock")).not.toThrow();
});
