import { spawn, spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./freePort.ts";
import { local, paths } from "./paths.ts";
import { Failure } from "./say.ts";
import { certificate } from "./tls.ts";
import { toolPath } from "./tools.ts";

const portNames = ["registry", "artifacts", "wheels"] as const;
type PortName = (typeof portNames)[number];
export type Ports = Record<PortName, number>;

interface Service {
  name: string;
  /** What it listens on: a port's name, or a socket. */
  listens: PortName | { socket: string };
  command(ports: Ports): Promise<[string, ...string[]]>;
}

const fileServer = join(import.meta.dirname, "fileServer.ts");

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
      const tls = await certificate();
      const config = join(paths.run, "buildkitd.toml");
      await writeFile(
        config,
        [
          `root = "${join(local, "buildkit")}"`,
          "[grpc]",
          `address = ["unix://${paths.buildkitSocket}"]`,
          "[worker.containerd]",
          "enabled = false",
          "[worker.oci]",
          // Build steps reach the artifact server and the wheel index, which listen on loopback only.
          'networkMode = "host"',
          // Each change of the Python packages leaves more than a gigabyte behind.
          'maxUsedSpace = "15GB"',
          'reservedSpace = "5GB"',
          'minFreeSpace = "5GB"',
          `[registry."localhost:${ports.registry}"]`,
          // Without `http = false`, BuildKit speaks plain HTTP to localhost.
          "http = false",
          `ca = ["${tls.ca}"]`,
          "",
        ].join("\n"),
      );
      return ["buildkitd", "--config", config];
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
  const ports = await choosePorts();
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
  await Promise.all(missing.map((service) => start(service, ports)));
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

/** The ports that this machine's stacks use; they are kept, because the registry's is part of every image's name. */
export function knownPorts(): Ports | undefined {
  const file = join(local, "ports.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Ports) : undefined;
}

async function choosePorts(): Promise<Ports> {
  const before: Partial<Ports> = knownPorts() ?? {};
  const ports = {} as Ports;
  for (const name of portNames) {
    const asked = process.env[`FACECRAFT_${name.toUpperCase()}_PORT`];
    if (asked !== undefined && !(Number.isInteger(Number(asked)) && Number(asked) > 0 && Number(asked) < 65536)) {
      throw new Failure(`FACECRAFT_${name.toUpperCase()}_PORT is "${asked}"; it must be a port from 1 to 65535.`);
    }
    ports[name] = asked ? Number(asked) : (before[name] ?? (await freePort()));
    if (before[name] !== undefined && before[name] !== ports[name] && runningPid(name) !== undefined) {
      throw new Failure(
        `FACECRAFT_${name.toUpperCase()}_PORT is ${asked}, but the local ${name} service runs on port ${before[name]}. Run \`make down\` first.`,
      );
    }
  }
  writeFileSync(join(local, "ports.json"), `${JSON.stringify(ports)}\n`);
  return ports;
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
  const address =
    typeof service.listens === "string"
      ? { host: "localhost", port: ports[service.listens] }
      : { path: service.listens.socket };
  for (let i = 0; i < 300 && !ended; i++) {
    if (await answers(address)) {
      writeFileSync(pidFile(service.name), `${child.pid}\n`);
      return;
    }
    await sleep(100);
  }
  const end = readFileSync(logFile, "utf8").trim().split("\n").slice(-5).join("\n");
  throw new Failure(`The local ${service.name} service did not start; the end of ${logFile}:\n${end}`);
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
  const pid = Number(existsSync(pidFile(name)) ? readFileSync(pidFile(name), "utf8") : 0);
  if (!(pid > 0)) {
    return undefined;
  }
  const { stdout } = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  const ours =
    name === "buildkitd" || name === "registry" ? join(paths.run, name) : paths[name as "artifacts" | "wheels"];
  return stdout.includes(ours) ? pid : undefined;
}
