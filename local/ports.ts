import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { portsOfCache } from "./buildCache.ts";
import { freePort } from "./freePort.ts";
import { local, paths } from "./paths.ts";
import { Failure, say } from "./say.ts";

const portNames = ["registry", "artifacts", "wheels"] as const;
export type PortName = (typeof portNames)[number];
/** TCP ports of the local services on loopback. */
export type Ports = Record<PortName, number>;

const file = join(local, "ports.json");

/** A service that listens on a port: how its running process was called, where it runs. */
export type CommandLines = Partial<Record<PortName, string>>;

/** The ports that this machine's stacks use; they are kept, because the registry's is part of every image's name. */
export function knownPorts(): Ports | undefined {
  const ports = readPorts() ?? {};
  return portNames.every((name) => ports[name] !== undefined) ? (ports as Ports) : undefined;
}

/**
 * The ports that were used before, those that the environment asks for, or free ones. The choice is written down whole, and
 * only when it is another one. Where what was written is lost, what runs says which ports it listens on.
 *
 * @param running command lines of the services that run
 * @throws Failure for a port that is none, or that is another than that of a running service
 */
export async function choosePorts(running: CommandLines): Promise<Ports> {
  const written = readPorts();
  const before = written ?? recovered(running);
  const ports = {} as Ports;
  for (const name of portNames) {
    const variable = `FACECRAFT_${name.toUpperCase()}_PORT`;
    const asked = process.env[variable];
    if (asked !== undefined && !isPort(Number(asked))) {
      throw new Failure(`${variable} is "${asked}"; it must be a port from 1 to 65535.`);
    }
    ports[name] = asked ? Number(asked) : (before[name] ?? (await newPort(name)));
    if (before[name] !== undefined && before[name] !== ports[name] && running[name] !== undefined) {
      throw new Failure(
        `${variable} is ${asked}, but the local ${name} service runs on port ${before[name]}. Run \`make down\` first.`,
      );
    }
  }
  if (portNames.some((name) => ports[name] !== written?.[name])) {
    write(ports);
  }
  return ports;
}

/** While nothing has been built here: the port that the builder's cache was made with, where it can be had. */
async function newPort(name: PortName): Promise<number> {
  const fromCache = portsOfCache()[name];
  // What listens there may be another clone, which serves the same wheels.
  return name === "wheels" && fromCache !== undefined ? fromCache : freePort(fromCache);
}

/** Changes the port of a service whose own is taken by another program, and on which no name of anything depends. */
export async function anotherPort(name: PortName, ports: Ports): Promise<void> {
  const taken = ports[name];
  ports[name] = await freePort();
  say(`port ${taken} of the local ${name} service is taken by another program; it gets ${ports[name]}`);
  write(ports);
}

function write(ports: Ports): void {
  writeFileSync(`${file}.new-${process.pid}`, `${JSON.stringify(ports)}\n`);
  renameSync(`${file}.new-${process.pid}`, file);
}

/** What the file says, without what is no port; undefined where it is not there or is no JSON object. */
function readPorts(): Partial<Ports> | undefined {
  try {
    const found = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    const kept = portNames.filter((name) => isPort(found[name])).map((name) => [name, found[name]]);
    return kept.length > 0 ? Object.fromEntries(kept) : undefined;
  } catch {
    return undefined;
  }
}

/** The registry's config names its port; the file servers were given theirs as their last argument. */
function recovered(running: CommandLines): Partial<Ports> {
  const ports: Partial<Ports> = {};
  const found: [PortName, string | undefined][] = [
    ["registry", /addr: "localhost:(\d+)"/.exec(registryConfig())?.[1]],
    ["artifacts", /(\d+)\s*$/.exec(running.artifacts ?? "")?.[1]],
    ["wheels", /(\d+)\s*$/.exec(running.wheels ?? "")?.[1]],
  ];
  for (const [name, port] of found.filter(([, port]) => isPort(Number(port)))) {
    ports[name] = Number(port);
  }
  if (Object.keys(ports).length > 0) {
    const list = Object.entries(ports).map(([name, port]) => `${name} ${port}`);
    say(`${file} was lost or unreadable; the ports in use were found again: ${list.join(", ")}`);
  }
  return ports;
}

function registryConfig(): string {
  try {
    return readFileSync(join(paths.run, "registry.yaml"), "utf8");
  } catch {
    return "";
  }
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65536;
}
