import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { goBuild } from "./acquire.ts";
import { hasDebian, unpackDebian } from "./debian.ts";
import { output } from "./exec.ts";
import { bin, local, paths, tools } from "./paths.ts";
import { Failure, say, timed } from "./say.ts";
import { toolPath } from "./tools.ts";
import { goModuleVersion } from "./versions.ts";

/** Debian's packages, unpacked: nothing of them is installed. */
const folder = join(tools, "docker");
const packages = ["docker.io", "containerd", "tini"];
const programs = [join(folder, "usr/bin"), join(folder, "usr/sbin")];

const socket = join(paths.run, "docker.sock");
const pidFile = join(paths.run, "docker.pid");
const logFile = join(paths.run, "docker.log");

/** What reaches the Docker host of this machine: the user's, or else one of our own. */
export async function dockerEnvironment(env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  const composeVersion = goModuleVersion("compose", "github.com/docker/compose/v5");
  const compose =
    (await runs("docker", ["compose", "version"], env)) || (await runs("docker-compose", ["version"], env));
  if (!compose && !existsSync(join(bin, "docker-compose"))) {
    const define = { "github.com/docker/compose/v5/internal.Version": `v${composeVersion}` };
    await goBuild(
      { tool: "compose", main: "github.com/docker/compose/v5/cmd", program: "docker-compose", define },
      bin,
    );
  }
  if (await runs("docker", ["version"], env)) {
    return env;
  }
  await startDocker();
  const path = [env.PATH, ...programs].join(":");
  // Debian's daemon is older than what Compose asks for unless told.
  return { ...env, PATH: path, DOCKER_HOST: `unix://${socket}`, DOCKER_API_VERSION: "1.41" };
}

function runs(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  return output(program, args, { env, timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

/** Starts our own daemon where it does not run. It touches no firewall rule and no file outside our folder. */
async function startDocker(): Promise<void> {
  if (runningPid() !== undefined) {
    return;
  }
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    throw new Failure(
      "No Docker daemon answers, and an own one needs Linux and root. Start Docker, or set DOCKER_HOST.",
    );
  }
  await obtainDocker();
  await mkdir(paths.run, { recursive: true });
  const log = openSync(logFile, "a");
  const options = {
    "--data-root": join(local, "docker"),
    "--exec-root": join(paths.run, "docker"),
    "--host": `unix://${socket}`,
    "--pidfile": pidFile,
    "--bridge": "none",
    "--iptables": "false",
    "--ip6tables": "false",
    "--ip-masq": "false",
  };
  const args = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const env = { ...process.env, PATH: [...programs, toolPath(), "/usr/sbin", "/sbin"].join(":") };
  const child = spawn("dockerd", args, { detached: true, stdio: ["ignore", log, log], env });
  let ended = false;
  child.on("error", () => {
    ended = true;
  });
  child.on("exit", () => {
    ended = true;
  });
  child.unref();
  const client = { ...env, DOCKER_HOST: `unix://${socket}`, DOCKER_API_VERSION: "1.41" };
  for (let i = 0; i < 100 && !ended; i++) {
    if (await runs("docker", ["version"], client)) {
      return;
    }
    await sleep(200);
  }
  const end = readFileSync(logFile, "utf8").trim().split("\n").slice(-5).join("\n");
  throw new Failure(`The local Docker daemon did not start; the end of ${logFile}:\n${end}`);
}

/** Stops our own daemon, and the containers with it. */
export async function stopDocker(): Promise<void> {
  const pid = runningPid();
  if (pid === undefined) {
    return;
  }
  process.kill(pid, "SIGTERM");
  for (let i = 0; i < 300 && runningPid() !== undefined; i++) {
    await sleep(100);
  }
  say("stopped docker");
  rmSync(pidFile, { force: true });
}

/** A number alone proves nothing: it may belong to another program by now. */
export function runningPid(): number | undefined {
  const pid = Number(existsSync(pidFile) ? readFileSync(pidFile, "utf8") : 0);
  const commandLine = `/proc/${pid}/cmdline`;
  return pid > 0 && existsSync(commandLine) && readFileSync(commandLine, "utf8").includes(pidFile) ? pid : undefined;
}

async function obtainDocker(): Promise<void> {
  if (existsSync(folder)) {
    return;
  }
  if (!hasDebian()) {
    throw new Failure("No Docker daemon answers, and one can be fetched from Debian's packages only. Install Docker.");
  }
  await timed("getting a Docker daemon from Debian's packages", () => unpackDebian(packages, folder));
}
