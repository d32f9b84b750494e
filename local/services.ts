import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { askedBuilder, type BuilderKind, chooseBuilder, rememberBuilder, rememberedBuilder } from "./builder.ts";
import { buildkitSettings } from "./buildkitSettings.ts";
import { cacheBounds } from "./cacheBounds.ts";
import {
  accepts,
  awaitDaemon,
  type Daemon,
  daemonCommand,
  daemonPid,
  runsReplaced,
  startDaemon,
  stopDaemon,
} from "./daemon.ts";
import { isInDocker, removeDockerBuilder, startDockerBuilder } from "./dockerBuilder.ts";
import { local, paths } from "./paths.ts";
import { anotherPort, choosePorts, type PortName, type Ports } from "./ports.ts";
import { inUserNamespace, namespaceEnvironment } from "./rootless.ts";
import { Failure, say } from "./say.ts";
import { certificate } from "./tls.ts";
import { toolPath } from "./tools.ts";
import { servedByAnotherClone } from "./wheels.ts";

interface Service {
  name: string;
  /** What its command line holds, and that of no other program. */
  sign: string;
  /** What it listens on: a port's name, or a socket. */
  listens: PortName | { socket: string };
  command(ports: Ports, builder: BuilderKind): Promise<[string, ...string[]]>;
  env?(builder: BuilderKind): NodeJS.ProcessEnv;
}

const fileServer = join(import.meta.dirname, "file-server.ts");

/** What one of them has written, the other cannot use: in a user namespace, the owners of all files are others. */
const buildkitRoots = { root: join(local, "buildkit"), rootless: join(local, "buildkit-rootless") };
const buildkitConfig = join(paths.run, "buildkitd.toml");

async function ownSettings(ports: Ports, builder: Exclude<BuilderKind, "docker">): Promise<string> {
  const root = buildkitRoots[builder];
  const { ca } = await certificate();
  const place = [`root = "${root}"`, "[grpc]", `address = ["unix://${paths.buildkitSocket}"]`];
  if (builder === "root") {
    return buildkitSettings(ports, { place, cdi: [paths.cdi], worker: cacheBounds(root), ca });
  }
  // By default in /run, which is root's.
  const telemetry = ["[otel]", `socketPath = "${join(paths.run, "otel.sock")}"`];
  const worker = ["rootless = true", ...cacheBounds(root)];
  return buildkitSettings(ports, { place: [...place, ...telemetry], cdi: [paths.cdi], worker, ca });
}

const registryConfig = join(paths.run, "registry.yaml");

const services: Service[] = [
  {
    name: "registry",
    sign: registryConfig,
    listens: "registry",
    async command(ports) {
      const tls = await certificate();
      await writeFile(
        registryConfig,
        [
          "version: 0.1",
          "log: { level: warn, accesslog: { disabled: false } }",
          `storage: { filesystem: { rootdirectory: ${join(local, "registry")} }, delete: { enabled: true } }`,
          `http: { addr: "localhost:${ports.registry}", tls: { certificate: ${tls.certificate}, key: ${tls.key} } }`,
          "",
        ].join("\n"),
      );
      return ["registry", "serve", registryConfig];
    },
  },
  {
    name: "artifacts",
    sign: paths.artifacts,
    listens: "artifacts",
    command: async (ports) => [process.execPath, fileServer, paths.artifacts, String(ports.artifacts)],
  },
  {
    name: "wheels",
    sign: paths.wheels,
    listens: "wheels",
    command: async (ports) => [process.execPath, fileServer, paths.wheels, String(ports.wheels)],
  },
  {
    name: "buildkitd",
    sign: buildkitConfig,
    listens: { socket: paths.buildkitSocket },
    async command(ports, builder) {
      if (builder === "docker") {
        throw new Error("a builder in Docker is no process of ours");
      }
      await writeFile(buildkitConfig, await ownSettings(ports, builder));
      await rememberBuilder(builder);
      const buildkitd: [string, ...string[]] = ["buildkitd", "--config", buildkitConfig];
      return builder === "rootless" ? inUserNamespace([...buildkitd, "--rootless"], join(paths.run, "rk")) : buildkitd;
    },
    env: (builder) => (builder === "rootless" ? namespaceEnvironment() : {}),
  },
];

/**
 * Chooses the builder and the ports of this machine's stacks, the same ones each time.
 *
 * @throws Failure when one of them cannot be had, so that nobody waits for a download first
 */
export async function reserve(): Promise<{ builder: BuilderKind; ports: Ports }> {
  const builder = await currentBuilder();
  await mkdir(paths.run, { recursive: true });
  const running = Object.fromEntries(
    services.map((service) => [service.name, daemonCommand(service)]).filter(([, line]) => line),
  );
  const ports = await choosePorts(running);
  for (const service of services.filter((service) => daemonPid(service) === undefined)) {
    const moves = service.name === "wheels" && !process.env.FACECRAFT_WHEELS_PORT;
    if (!moves) {
      await refuseTakenPort(service, ports);
    } else if ((await isTaken(ports.wheels)) && !(await servedByAnotherClone(ports.wheels))) {
      await anotherPort("wheels", ports);
    }
  }
  return { builder, ports };
}

function isTaken(port: number): Promise<boolean> {
  return accepts({ host: "localhost", port });
}

/** The builder that runs, or that Docker keeps; else the one that can. */
async function currentBuilder(): Promise<BuilderKind> {
  const remembered = rememberedBuilder();
  const present = remembered === "docker" ? await isInDocker() : runs("buildkitd");
  const asked = askedBuilder();
  if (present && remembered !== undefined && asked !== undefined && asked !== remembered) {
    const where = remembered === "docker" ? "is in Docker" : `runs as ${remembered}`;
    throw new Failure(`FACECRAFT_BUILDER is ${asked}, but the local builder ${where}. Run \`make down\` first.`);
  }
  return (present ? remembered : undefined) ?? chooseBuilder();
}

/** The services of a machine with such a builder: one in Docker is none of them. */
function servicesWith(builder: BuilderKind | undefined): Service[] {
  return builder === "docker" ? services.filter(({ name }) => name !== "buildkitd") : services;
}

/** Starts every service that does not run yet, and waits until it answers. */
export async function startServices(ports: Ports, builder: BuilderKind): Promise<void> {
  await mkdir(paths.artifacts, { recursive: true });
  await mkdir(paths.wheels, { recursive: true });
  // The same wheels are served by another clone where its port is that of the builder's cache.
  const others = !runs("wheels") && (await servedByAnotherClone(ports.wheels));
  const wanted = servicesWith(builder).filter(({ name }) => !(others && name === "wheels"));
  const missing = wanted.filter((service) => daemonPid(service) === undefined);
  if (builder !== "docker" && missing.every(({ name }) => name !== "buildkitd") && (await isOutdated(ports, builder))) {
    // It may be building for another clone.
    say(
      "the running buildkitd is an earlier one, or has earlier settings; `make down` and `make up` put the present one there",
    );
  }
  await Promise.all(
    wanted.map(async (service) =>
      missing.includes(service) ? start(service, ports, builder) : awaitDaemon(daemonOf(service, ports)),
    ),
  );
  if (builder === "docker") {
    await rememberBuilder(builder);
    await startDockerBuilder(ports);
  }
}

async function start(service: Service, ports: Ports, builder: BuilderKind): Promise<void> {
  try {
    await startDaemon(daemonOf(service, ports), {
      command: await service.command(ports, builder),
      env: { ...process.env, PATH: toolPath(), OTEL_TRACES_EXPORTER: "none", ...service.env?.(builder) },
    });
  } catch (error) {
    // Another clone, which serves the same, may have taken the port at the same moment.
    if (service.name !== "wheels" || !(await servedByAnotherClone(ports.wheels))) {
      throw error;
    }
  }
}

function runs(service: string): boolean {
  return runningServices().some(({ name, pid }) => name === service && pid !== undefined);
}

function daemonOf({ name, sign, listens }: Service, ports: Ports): Daemon {
  const address = typeof listens === "string" ? { host: "localhost", port: ports[listens] } : { path: listens.socket };
  return { name, sign, answers: () => accepts(address) };
}

/** Whether the running builder is another program than the installed one, or was started with other settings. */
async function isOutdated(ports: Ports, builder: Exclude<BuilderKind, "docker">): Promise<boolean> {
  const settings = existsSync(buildkitConfig) ? readFileSync(buildkitConfig, "utf8") : "";
  const pid = runningServices().find(({ name }) => name === "buildkitd")?.pid;
  return settings !== (await ownSettings(ports, builder)) || runsReplaced(pid, ["buildkitd", "rootlesskit"]);
}

/** Stops what runs, and removes what is in Docker. */
export async function stopServices(): Promise<void> {
  await Promise.all(services.map(({ name, sign }) => stopDaemon({ name, sign })));
  await removeDockerBuilder();
}

export function runningServices(): { name: string; pid: number | undefined }[] {
  return servicesWith(rememberedBuilder()).map((service) => ({ name: service.name, pid: daemonPid(service) }));
}

async function refuseTakenPort(service: Service, ports: Ports): Promise<void> {
  if (typeof service.listens !== "string") {
    return;
  }
  const port = ports[service.listens];
  if (await isTaken(port)) {
    throw new Failure(
      `Port ${port}, which the local ${service.name} service uses, is taken by another program. ` +
        `Stop that program, or choose another port with FACECRAFT_${service.listens.toUpperCase()}_PORT` +
        ` (every local image then gets a new name), and run this again.`,
    );
  }
}
