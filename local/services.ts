import { spawn, spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheBounds } from "./cacheBounds.ts";
import { local, paths } from "./paths.ts";
import { choosePorts, type PortName, type Ports } from "./ports.ts";
import { Failure, say } from "./say.ts";
import { certificate } from "./tls.ts";
import { toolPath } from "./tools.ts";

interface Service {
  name: string;
  /** What it listens on: a port's name, or a socket. */
  listens: PortName | { socket: string };
  command(ports: Ports): Promise<[string, ...string[]]>;
}

const fileServer = join(import.meta.dirname, "file-server.ts");

const buildkitRoot = join(local, "buildkit");
const buildkitConfig = join(paths.run, "buildkitd.toml");

async function buildkitSettings(ports: Ports): Promise<string> {
  const tls = await certificate();
  return [
    `root = "${buildkitRoot}"`,
    "[grpc]",
    `address = ["unix://${paths.buildkitSocket}"]`,
    // What build steps may have of this machine's devices: a GPU, where something describes one.
    "[cdi]",
    `specDirs = ["/etc/cdi", "/var/run/cdi", "${paths.cdi}"]`,
    'autoAllowed = ["nvidia.com/gpu"]',
    "[worker.containerd]",
    "enabled = false",
    "[worker.oci]",
    // Build steps reach the artifact server and the wheel index, which listen on loopback only.
    'networkMode = "host"',
    ...cacheBounds(buildkitRoot),
    `[registry."localhost:${ports.registry}"]`,
    // Without `http = false`, BuildKit speaks plain HTTP to localhost.
    "http = false",
    `ca = ["${tls.ca}"]`,
    "",
  ].join("\n");
}

const services: Service[] = [
  {
    name: "registry",
    listens: "registry",
    async command(ports) {
      const tls = await certificate();
      const config = join(paths.run, "registry.yaml");
      await writeFile(
        config,
        [
          "version: 0.1",
          "log: { level: warn, accesslog: { disabled: false } }",
          `storage: { filesystem: { rootdirectory: ${join(local, "registry")} }, delete: { enabled: true } }`,
          `http: { addr: "localhost:${ports.registry}", tls: { certificate: ${tls.certificate}, key: ${tls.key} } }`,
          "",
        ].join("\n"),
      );
      return ["registry", "serve", config];
    },
  },
  {
    name: "artifacts",
    listens: "artifacts",
    command: async (ports) => [process.execPath, fileServer, paths.artifacts, String(ports.artifacts)],
  },
  {
    name: "wheels",
    listens: "wheels",
    command: async (ports) => [process.execPath, fileServer, paths.wheels, String(ports.wheels)],
  },
  {
    name: "buildkitd",
    listens: { socket: paths.buildkitSocket },
    async command(ports) {
      if (process.platform !== "linux" || process.getuid?.() !== 0) {
        throw new Failure(
          "The local stacks bring their own BuildKit, which needs Linux and root. " +
            "Run this as root, or in a Linux virtual machine; or use the stack cpu with a buildx builder of your own.",
        );
      }
      await writeFile(buildkitConfig, await buildkitSettings(ports));
      return ["buildkitd", "--config", buildkitConfig];
    },
  },
];

/**
 * Chooses the ports of this machine's stacks, the same ones each time.
 *
 * @throws Failure when one of them cannot be had, so that nobody waits for a download first
 */
export async function reservePorts(): Promise<Ports> {
  await mkdir(paths.run, { recursive: true });
  const running = Object.fromEntries(
    services.map(({ name }) => [name, runningCommand(name)]).filter(([, line]) => line),
  );
  const ports = await choosePorts(running);
  for (const service of services.filter(({ name }) => runningPid(name) === undefined)) {
    await refuseTakenPort(service, ports);
  }
  return ports;
}

/** Starts every service that does not run yet, and waits until it answers. */
export async function startServices(ports: Ports): Promise<void> {
  await mkdir(paths.artifacts, { recursive: true });
  await mkdir(paths.wheels, { recursive: true });
  const missing = services.filter(({ name }) => runningPid(name) === undefined);
  if (missing.every(({ name }) => name !== "buildkitd") && (await isOutdated(ports))) {
    // It may be building for another clone.
    say(
      "the running buildkitd is an earlier one, or has earlier settings; `make down` and `make up` put the present one there",
    );
  }
  await Promise.all(
    services.map((service) => (missing.includes(service) ? start(service, ports) : again(service, ports))),
  );
}

/** Waits for a service that runs already: who started it may have been stopped before it answered. */
async function again(service: Service, ports: Ports): Promise<void> {
  if (!(await isUp(service, ports, () => runningPid(service.name) === undefined))) {
    throw new Failure(
      `The local ${service.name} service runs, but does not answer; \`make down\` stops it. Its log is ` +
        `${join(paths.run, `${service.name}.log`)}.`,
    );
  }
}

/** Whether the running builder is another program than the installed one, or was started with other settings. */
async function isOutdated(ports: Ports): Promise<boolean> {
  const settings = existsSync(buildkitConfig) ? readFileSync(buildkitConfig, "utf8") : "";
  return settings !== (await buildkitSettings(ports)) || isReplaced(`/proc/${writtenPid("buildkitd")}/exe`);
}

/** Whether the program of a process has been replaced since; Linux then says so behind its path. */
function isReplaced(program: string): boolean {
  try {
    return readlinkSync(program).endsWith(" (deleted)");
  } catch {
    return false; // another system, or another user's process
  }
}

/** Stops what runs, each by the id that was written down when it was started. */
export async function stopServices(): Promise<void> {
  await Promise.all(
    services.map(async ({ name }) => {
      const pid = runningPid(name);
      if (pid !== undefined) {
        process.kill(pid, "SIGTERM");
        for (let i = 0; i < 100 && runningPid(name) !== undefined; i++) {
          await sleep(100);
        }
        if (runningPid(name) !== undefined) {
          process.kill(pid, "SIGKILL");
        }
      }
      rmSync(pidFile(name), { force: true });
    }),
  );
}

export function runningServices(): { name: string; pid: number | undefined }[] {
  return services.map(({ name }) => ({ name, pid: runningPid(name) }));
}

async function refuseTakenPort(service: Service, ports: Ports): Promise<void> {
  if (typeof service.listens !== "string") {
    return;
  }
  const port = ports[service.listens];
  if (await answers({ host: "localhost", port })) {
    throw new Failure(
      `Port ${port}, which the local ${service.name} service uses, is taken by another program. ` +
        `Stop that program, or choose another port with FACECRAFT_${service.listens.toUpperCase()}_PORT` +
        ` (every local image then gets a new name), and run this again.`,
    );
  }
}

async function start(service: Service, ports: Ports): Promise<void> {
  const [program, ...args] = await service.command(ports);
  const logFile = join(paths.run, `${service.name}.log`);
  const log = openSync(logFile, "a");
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: { ...process.env, PATH: toolPath(), OTEL_TRACES_EXPORTER: "none" },
  });
  let ended = false;
  child.on("error", () => {
    ended = true;
  });
  child.on("exit", () => {
    ended = true;
  });
  child.unref();
  // At once: who stops us from here on leaves a service behind that `make down` finds.
  if (child.pid !== undefined) {
    writeFileSync(pidFile(service.name), `${child.pid}\n`);
  }
  if (!(await isUp(service, ports, () => ended))) {
    const end = readFileSync(logFile, "utf8").trim().split("\n").slice(-5).join("\n");
    throw new Failure(`The local ${service.name} service did not start; the end of ${logFile}:\n${end}`);
  }
}

/** Waits until a service answers. @returns false where it ends instead, or takes longer than half a minute */
async function isUp(service: Service, ports: Ports, ended: () => boolean): Promise<boolean> {
  const address =
    typeof service.listens === "string"
      ? { host: "localhost", port: ports[service.listens] }
      : { path: service.listens.socket };
  for (let i = 0; i < 300 && !ended(); i++) {
    if (await answers(address)) {
      return true;
    }
    await sleep(100);
  }
  return false;
}

function answers(address: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function pidFile(name: string): string {
  return join(paths.run, `${name}.pid`);
}

/** The service's process, where it runs. A number alone proves nothing: it may belong to another program by now. */
function runningPid(name: string): number | undefined {
  return runningCommand(name) === undefined ? undefined : writtenPid(name);
}

function writtenPid(name: string): number {
  return Number(existsSync(pidFile(name)) ? readFileSync(pidFile(name), "utf8") : 0);
}

/** The command line of the service's process. */
function runningCommand(name: string): string | undefined {
  const pid = writtenPid(name);
  if (!(pid > 0)) {
    return undefined;
  }
  const command = commandLine(pid);
  const ours =
    name === "buildkitd" || name === "registry" ? join(paths.run, name) : paths[name as "artifacts" | "wheels"];
  return command.includes(ours) ? command : undefined;
}

/** Of a process; empty where it does not run. Linux shows it in a file, which takes no process to read. */
function commandLine(pid: number): string {
  if (process.platform !== "linux") {
    return spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim();
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
  } catch {
    return "";
  }
}
