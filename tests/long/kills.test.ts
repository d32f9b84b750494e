import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { locksOf } from "../../local/locks.ts";
import { tools } from "../../local/paths.ts";
import { removeTree } from "../../local/rootless.ts";
import { checkout, strangersEnvironment } from "../engine/harness.ts";
import { fuzz } from "../fuzz.ts";
import { run } from "../run.ts";

const { runs: moments, seed } = fuzz(20);
// On the disk of the tools, so that they need not be copied.
const top = mkdtempSync(join(tools, "test-"));
const clone = join(top, "clone");
const own = join(top, "tools");
// What it keeps for other clones is nobody else's concern.
const env = {
  ...strangersEnvironment(),
  FACECRAFT_TOOLS: own,
  FACECRAFT_CACHE: join(top, "cache"),
  STACK: "local",
};

/** What the test's machine does from one end of an update to the other, in milliseconds. */
let lasts = 0;

beforeAll(async () => {
  await checkout(clone);
  await output("mkdir", ["-p", join(own, "local")]);
  const shared = readdirSync(tools).filter((name) => !["local", "go", "test-results.json"].includes(name));
  const isWork = (name: string) => /^(test|base|debian|head-start|image)-/.test(name);
  for (const name of shared.filter((name) => !isWork(name))) {
    await output("cp", ["-al", join(tools, name), own]);
  }
  await output("cp", ["-al", join(tools, "local/artifacts"), join(own, "local")]);
  expect(await up()).toSucceed();
});
afterAll(async () => {
  await make("down");
  expect(running()).toEqual([]);
  await removeTree(top);
});

const make = (command: string) => run(["make", "--silent", command], clone, env);

async function up(): Promise<Awaited<ReturnType<typeof make>>> {
  const start = performance.now();
  const ended = await make("up");
  lasts = performance.now() - start;
  return ended;
}

interface Process {
  pid: number;
  command: string;
}

/** Every process of this test's machine: what `make up` started, and the services. */
function running(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const mine = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`FACECRAFT_TOOLS=${own}`);
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return mine && command !== "" ? [{ pid: Number(pid), command }] : [];
      } catch {
        return []; // It has ended.
      }
    });
}

/** When, as a part of what an update takes, and which of the processes that there are by then. */
const kills = fc.sample(
  fc.record({
    when: fc.double({ min: 0, max: 1, noNaN: true }),
    which: fc.double({ min: 0, max: 0.999, noNaN: true }),
  }),
  { seed, numRuns: moments },
);

test("a kill of any part of an update, at any moment, is followed by a clean update", {
  timeout: 1_800_000,
}, async () => {
  for (const [index, { when, which }] of kills.entries()) {
    const moment = index + 1;
    // Something to build and to push; and every third time, services to start.
    appendFileSync(join(clone, "app/src/facecraft/main.py"), `\n# ${moment}\n`);
    if (moment % 3 === 0) {
      expect(await make("down")).toSucceed();
    }
    const update = spawn("make", ["--silent", "up"], { cwd: clone, env, stdio: "ignore" });
    const ended = new Promise((resolve) => update.on("close", resolve));
    const after = Math.round(when * lasts);
    await sleep(after);
    const victim = pick(running(), which);
    if (victim) {
      kill(victim.pid);
    }
    await ended;

    const { code, text } = await up();
    const what = `seed ${seed}, kill ${moment} of ${moments}, ${after} ms after the start: ${victim?.command.slice(0, 120)}`;
    expect(code, `${what}\n${text.split("\n").slice(-40).join("\n")}`).toBe(0);
    expect(await state(), what).toEqual({ pending: 0, locks: 0, failures: [] });
  }
});

function pick<T>(list: readonly T[], which: number): T | undefined {
  return list[Math.floor(which * list.length)];
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was faster.
  }
}

/** What an update must not leave, and whether the published image is the one that its outputs name. */
async function state(): Promise<{ pending: number; locks: number; failures: string[] }> {
  const folder = join(own, "local/state");
  const stack = JSON.parse(readFileSync(join(folder, ".pulumi/stacks/facecraft/local.json"), "utf8"));
  const { pending_operations: pending = [] } = stack.checkpoint.latest;
  const drift = await make("drift");
  return {
    pending: pending.length,
    locks: locksOf({ state: folder, project: "facecraft", stack: "local" }).length,
    failures: drift.code === 0 ? [] : [drift.text],
  };
}
