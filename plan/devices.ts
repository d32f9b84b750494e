import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { type RemoteNode, remoteNodes } from "./builder.ts";

/** A device that a builder can give to a build step. */
export interface Device {
  /** By its description (CDI): KIND=NAME; of one that is installed on demand, the kind. */
  name: string;
  /** Whether a build gets it without asking for leave, which the docker-build provider cannot. */
  allowed: boolean;
}

/** What a builder has, and which of its nodes said so, where one was asked; or why that cannot be known, in words that follow a colon. */
export type Listed = { devices: Device[]; node?: RemoteNode } | { unknown: string };

/**
 * Asks a builder for the devices that it can give to build steps. A BuildKit of the driver `remote` is asked itself, of the
 * others buildx knows.
 *
 * @param builder name of a buildx builder; default: the one that buildx has selected
 * @param patience milliseconds that a BuildKit may take to answer
 * @param start whether a builder that is not running is started, as a build would; before that, it lists nothing
 */
export async function listDevices(builder: string | undefined, patience = 5000, start = true): Promise<Listed> {
  const nodes = (builder === undefined ? [] : remoteNodes(builder)) ?? [];
  const answers: Listed[] = [];
  // A build goes to the first node that can be had.
  for (const node of nodes.filter(isDirect)) {
    const answer = await askBuildKit(node, patience);
    if ("devices" in answer) {
      return { ...answer, node };
    }
    answers.push(answer);
  }
  return answers[0] ?? askBuildx(builder, start);
}

/** Whether a node is reached without another program. */
function isDirect({ endpoint }: RemoteNode): boolean {
  return /^(unix|tcp):/.test(endpoint);
}

/** Asks a BuildKit itself, by `moby.buildkit.v1.Control/ListWorkers`, in which a request says nothing. */
export async function askBuildKit({ endpoint, options }: RemoteNode, patience: number): Promise<Listed> {
  const { Client, credentials, status } = await import("@grpc/grpc-js");
  const { cacert, cert, key, servername } = options;
  const { protocol, host, pathname } = new URL(endpoint);
  let client: InstanceType<typeof Client> | undefined;
  try {
    const read = (file: string | undefined) => (file === undefined ? null : readFileSync(file));
    client = new Client(
      protocol === "unix:" ? `unix:${decodeURI(pathname)}` : host,
      cacert ? credentials.createSsl(read(cacert), read(key), read(cert)) : credentials.createInsecure(),
      { "grpc.enable_http_proxy": 0, ...(servername && { "grpc.ssl_target_name_override": servername }) },
    );
    return { devices: await listWorkers(client, patience) };
  } catch (error) {
    const { code, details, message } = error as Partial<import("@grpc/grpc-js").ServiceError>;
    const said =
      code === status.DEADLINE_EXCEEDED ? `it does not answer within ${patience / 1000} s` : (details ?? message);
    return { unknown: `${endpoint}: ${said}` };
  } finally {
    client?.close();
  }
}

function listWorkers(client: import("@grpc/grpc-js").Client, patience: number): Promise<Device[]> {
  const method = "/moby.buildkit.v1.Control/ListWorkers";
  const same = (bytes: Buffer) => bytes;
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + patience;
    client.makeUnaryRequest(method, same, readDevices, Buffer.alloc(0), { deadline }, (error, devices) =>
      error ? reject(error) : resolve(devices ?? []),
    );
  });
}

/** The devices of all workers, each once (buildkit/api/types/worker.proto: WorkerRecord.CDIDevices and CDIDevice). */
export function readDevices(response: Uint8Array): Device[] {
  const found = messages(response, 1).flatMap((worker) =>
    messages(worker, 6).map((bytes): Device => {
      const device = [...fields(bytes)];
      const flag = (number: number) => device.some(([of, value]) => of === number && value === 1);
      const name = device.find(([of]) => of === 1)?.[1];
      return { name: name instanceof Uint8Array ? Buffer.from(name).toString() : "", allowed: flag(2) || flag(4) };
    }),
  );
  return [...new Map(found.map((device) => [device.name, device])).values()];
}

function messages(message: Uint8Array, wanted: number): Uint8Array[] {
  return [...fields(message)].flatMap(([number, value]) =>
    number === wanted && value instanceof Uint8Array ? [value] : [],
  );
}

/** The fields of a protobuf message: numbers of at most 53 bits, and bytes. */
function* fields(message: Uint8Array): Generator<[number, number | Uint8Array]> {
  let at = 0;
  const varint = () => {
    let [value, scale, byte] = [0, 1, 0x80];
    for (; byte & 0x80; scale *= 128) {
      byte = message[at++] ?? 0;
      value += (byte & 0x7f) * scale;
    }
    return value;
  };
  const take = (length: number) => {
    if (at + length > message.length) {
      throw new Error("its answer is cut off");
    }
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield [number, varint()];
        break;
      case 1:
        yield [number, take(8)];
        break;
      case 2:
        yield [number, take(varint())];
        break;
      case 5:
        yield [number, take(4)];
        break;
      default:
        throw new Error("its answer is no message of BuildKit");
    }
  }
}

async function askBuildx(builder: string | undefined, start: boolean): Promise<Listed> {
  const args = ["buildx", "inspect", ...(start ? ["--bootstrap"] : []), ...(builder === undefined ? [] : [builder])];
  const { code, text } = await run("docker", args, 120_000);
  if (code === undefined) {
    return { unknown: "`docker buildx inspect` tells that, and there is no docker on the PATH" };
  }
  const devices = devicesIn(text);
  // Of a node that it cannot reach, buildx says so and ends well.
  const [, fault = code === 0 ? undefined : text.trim().split("\n").at(-1)] = /^Error:\s+(.+)$/m.exec(text) ?? [];
  if (code !== 0 && (await run("docker", ["buildx", "version"], 10_000)).code !== 0) {
    return { unknown: "`docker buildx inspect` tells that, and this docker has no buildx" };
  }
  return fault !== undefined && devices.length === 0
    ? { unknown: `\`docker ${args.join(" ")}\` says: ${fault}` }
    : { devices };
}

/** The devices that `docker buildx inspect` prints. */
export function devicesIn(text: string): Device[] {
  return [...text.matchAll(/^\s*Name:\s+(\S+\/\S+)\n\s*(Automatically allowed|On-Demand):\s+(true|false)$/gm)].map(
    ([, name = "", , allowed]) => ({ name, allowed: allowed === "true" }),
  );
}

/** Runs a program to its end and keeps what it says; without a code when it is not there. */
export function run(
  program: string,
  args: readonly string[],
  patience: number,
): Promise<{ code: number | undefined; text: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: patience, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const missing = error?.code === "ENOENT";
      const late = error?.killed ? `\nit did not end within ${patience / 1000} s` : "";
      const code = typeof error?.code === "number" ? error.code : 1;
      resolve({ code: missing ? undefined : error ? code : 0, text: stdout + stderr + late });
    });
  });
}
