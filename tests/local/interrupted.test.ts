import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRunning, run } from "../run.ts";

let top: string;
let env: NodeJS.ProcessEnv;
const names = ["registry", "buildkitd", "artifacts", "wheels"];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "facecraft-interrupted-"));
  mkdirSync(join(top, "bin"));
  env = {
    ...process.env,
    FACECRAFT_TOOLS: join(top, "tools"),
    // Whose ports those of the cache are, is none of this clone's concern.
    FACECRAFT_CACHE: join(top, "cache"),
    PATH: join(top, "bin") + delimiter + process.env.PATH,
  };
});
afterEach(async () => {
  await local("down");
  rmSync(top, { recursive: true, force: true });
});

const local = (command: string) => run([process.execPath, "local/cli.ts", command], ".", env);

/** Puts a program there that runs, and never answers. */
function mute(name: string): void {
  const file = join(top, "bin", name);
  writeFileSync(file, "#!/bin/sh\nwhile :; do sleep 0.1; done\n");
  chmodSync(file, 0o755);
}

/** The processes of the services, by what they wrote down. */
function pids(): number[] {
  return names
    .map((name) => join(top, "tools/local/run", `${name}.pid`))
    .filter((file) => existsSync(file))
    .map((file) => Number(readFileSync(file, "utf8")));
}

test.runIf(process.platform === "linux" && process.getuid?.() === 0)(
  "what a killed start of the services has left behind, `make down` finds",
  { timeout: 60_000 },
  async () => {
    mute("registry");
    mute("buildkitd");
    const script = `import { certificate } from "./local/tls.ts";
    import { reserve, startServices } from "./local/services.ts";
    await certificate();
    const { builder, ports } = await reserve();
    await startServices(ports, builder);`;
    const starting = spawn(process.execPath, ["--input-type=module", "-e", script], { env, stdio: "ignore" });
    const ended = new Promise((resolve) => starting.on("exit", resolve));
    for (let i = 0; i < 300 && pids().filter((pid) => pid > 0).length < names.length; i++) {
      await sleep(100);
    }
    starting.kill("SIGKILL");
    await ended;
    const left = pids();
    expect(left).toHaveLength(names.length);
    expect(left.filter(isRunning)).toEqual(left);

    const { code, text } = await local("down");
    expect({ code, text }).toEqual({ code: 0, text: expect.stringContaining("stopped registry") });
    expect(left.filter(isRunning)).toEqual([]);
  },
);

test.runIf(process.platform === "linux")("what a killed update has left behind, `make down` ends", async () => {
  const nobody = 4_194_304;
  const left = spawn("sleep", ["60"], { env: { ...env, FACECRAFT_UPDATE: `${nobody}-left` }, stdio: "ignore" });
  const ended = once(left, "exit");
  expect(await local("down")).toMatchObject({ code: 0 });
  expect(await ended).toEqual([null, "SIGTERM"]);
});
