import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { devicesIn, listDevices, readDevices } from "../../plan/devices.ts";
import { run } from "../run.ts";

let folder: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-devices-"));
  mkdirSync(join(folder, "instances"));
  mkdirSync(join(folder, "bin"));
  vi.stubEnv("BUILDX_CONFIG", folder);
  vi.stubEnv("DOCKER_CONFIG", folder);
  vi.stubEnv("PATH", `${join(folder, "bin")}:/usr/bin:/bin`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  server?.forceShutdown();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** A field of a protobuf message. */
function field(number: number, value: string | boolean | Buffer): Buffer {
  if (typeof value === "boolean") {
    return Buffer.from([number << 3, Number(value)]);
  }
  const bytes = Buffer.from(value);
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

/** What BuildKit says of a worker with devices; with fields that nobody asks for. */
function worker(...devices: { name: string; allowed?: boolean; onDemand?: boolean }[]): Buffer {
  const described = devices.map(({ name, allowed, onDemand }) => {
    const annotation = field(3, Buffer.concat([field(1, "org.example.note"), field(2, "x".repeat(200))]));
    const flags = [...(allowed ? [field(2, true)] : []), ...(onDemand ? [field(4, true)] : [])];
    return field(6, Buffer.concat([field(1, name), annotation, ...flags]));
  });
  return field(1, Buffer.concat([field(1, "the worker's id"), field(5, field(2, "v0.31.1")), ...described]));
}

type Behaviour = Buffer | "stalls" | "refuses";

/** A BuildKit that answers, stalls or refuses. */
async function buildkit(where: string, behaviour: Behaviour, credentials = ServerCredentials.createInsecure()) {
  server = new Server();
  const same = (bytes: Buffer) => bytes;
  const listWorkers = {
    path: "/moby.buildkit.v1.Control/ListWorkers",
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService({ listWorkers }, {
    listWorkers: (_: unknown, answer: (error: object | null, bytes?: Buffer) => void) => {
      if (behaviour === "refuses") {
        answer({ code: status.UNIMPLEMENTED, details: "unknown service moby.buildkit.v1.Control" });
      } else if (behaviour !== "stalls") {
        answer(null, behaviour);
      }
    },
  } as never);
  return new Promise<number>((resolve, reject) => {
    server?.bindAsync(where, credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
}

function instance(endpoints: string[], options: Record<string, string> = {}, driver = "remote"): void {
  const nodes = endpoints.map((endpoint, i) => ({ Name: `b${i}`, Endpoint: endpoint, DriverOpts: options }));
  writeFileSync(join(folder, "instances/b"), JSON.stringify({ Name: "b", Driver: driver, Nodes: nodes }));
}

/** A docker that says the same whatever it is asked. */
function docker(script: string): void {
  writeFileSync(join(folder, "bin/docker"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** What is listed, whichever node said so. */
async function list(...asked: Parameters<typeof listDevices>) {
  const listed = await listDevices(...asked);
  return "devices" in listed ? { devices: listed.devices } : listed;
}

const gpu = { name: "nvidia.com/gpu=all", allowed: true };

describe("a BuildKit of the driver remote", () => {
  test("tells its devices over a socket, and which of them a build gets unasked", async () => {
    const socket = join(folder, "a b.sock");
    const answer = worker(gpu, { name: "vendor.example/fpga=0" }, { name: "nvidia.com/gpu", onDemand: true });
    await buildkit(`unix:${socket}`, answer);
    instance([`unix://${encodeURI(socket)}`]);
    expect(await list("b")).toEqual({
      devices: [gpu, { name: "vendor.example/fpga=0", allowed: false }, { name: "nvidia.com/gpu", allowed: true }],
    });
  });

  test("tells over a port that it has none", async () => {
    const port = await buildkit("127.0.0.1:0", worker());
    instance([`tcp://127.0.0.1:${port}`]);
    expect(await list("b")).toEqual({ devices: [] });
  });

  test("is asked past the proxies of the environment", async () => {
    vi.stubEnv("http_proxy", "http://127.0.0.1:2");
    vi.stubEnv("grpc_proxy", "http://127.0.0.1:2");
    const port = await buildkit("127.0.0.1:0", worker(gpu));
    instance([`tcp://127.0.0.1:${port}`]);
    expect(await list("b")).toEqual({ devices: [gpu] });
  });

  test("is asked with the keys that buildx has of it", async () => {
    const made = await run(
      [
        ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
        ...["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=builder.example"],
        ...["-addext", "subjectAltName=DNS:builder.example"],
      ],
      folder,
      process.env,
    );
    expect(made.code, made.text).toBe(0);
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const { readFileSync } = await import("node:fs");
    const pair = { private_key: readFileSync(key), cert_chain: readFileSync(cert) };
    const port = await buildkit(
      "127.0.0.1:0",
      worker(gpu),
      ServerCredentials.createSsl(readFileSync(cert), [pair], true),
    );
    const keys = { cacert: cert, cert, key, servername: "builder.example" };
    instance([`tcp://127.0.0.1:${port}`], keys);
    expect(await list("b")).toEqual({ devices: [gpu] });

    instance([`tcp://127.0.0.1:${port}`], { cacert: cert, servername: "builder.example" });
    expect(await list("b")).toMatchObject({ unknown: expect.stringContaining(`tcp://127.0.0.1:${port}: `) });
    instance([`tcp://127.0.0.1:${port}`], { ...keys, cacert: join(folder, "none.pem") });
    expect(await list("b")).toMatchObject({ unknown: expect.stringContaining("none.pem") });
  });

  test("that says nothing is not waited for", async () => {
    const port = await buildkit("127.0.0.1:0", "stalls");
    instance([`tcp://127.0.0.1:${port}`]);
    expect(await list("b", 300)).toEqual({
      unknown: `tcp://127.0.0.1:${port}: it does not answer within 0.3 s`,
    });
  });

  test("that refuses is told in its own words", async () => {
    const port = await buildkit("127.0.0.1:0", "refuses");
    instance([`tcp://127.0.0.1:${port}`]);
    expect(await list("b")).toEqual({
      unknown: `tcp://127.0.0.1:${port}: unknown service moby.buildkit.v1.Control`,
    });
  });

  test("that says what is no answer is not believed", async () => {
    for (const answer of [Buffer.from("\x0a\xff\x01"), Buffer.from("HTTP/1.1 400 Bad Request")]) {
      const port = await buildkit("127.0.0.1:0", answer);
      instance([`tcp://127.0.0.1:${port}`]);
      expect(await list("b")).toMatchObject({ unknown: expect.stringMatching(/its answer is/) });
      server?.forceShutdown();
    }
  });

  test("that is not there is told; another node of the builder answers for it", async () => {
    instance(["unix:///nowhere/buildkitd.sock"]);
    expect(await list("b")).toMatchObject({ unknown: expect.stringMatching(/^unix:\/\/\/nowhere.*ENOENT/) });
    const port = await buildkit("127.0.0.1:0", worker(gpu));
    instance(["unix:///nowhere/buildkitd.sock", `tcp://127.0.0.1:${port}`]);
    const node = { endpoint: `tcp://127.0.0.1:${port}`, options: {} };
    expect(await listDevices("b")).toEqual({ devices: [gpu], node });
  });
});

test("whatever bytes come, they are read as devices or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        expect(Array.isArray(readDevices(bytes))).toBe(true);
      } catch (error) {
        expect((error as Error).message).toMatch(/^its answer is /);
      }
    }),
  );
});

describe("another builder", () => {
  const said = `Name:          b
Driver:        docker-container
Last Activity: 2026-11-29 07:00:00 +0000 UTC

Nodes:
Name:                  b0
Endpoint:              unix:///var/run/docker.sock
Status:                running
BuildKit version:      v0.31.1
Labels:
 org.mobyproject.buildkit.worker.executor:         oci
Devices:
 Name:                  nvidia.com/gpu=0
 Automatically allowed: false
 Annotations:
  org.mobyproject.buildkit.device.class: gpu
 Name:                  nvidia.com/gpu=all
 Automatically allowed: true
 Name:                  nvidia.com/gpu
 On-Demand:             true
GC Policy rule#0:
 All:            false
`;

  test("is what buildx says of it, started first", async () => {
    writeFileSync(join(folder, "said"), said);
    docker(`[ "$*" = "buildx inspect --bootstrap b" ] && cat ${join(folder, "said")}`);
    instance(["unix:///var/run/docker.sock"], {}, "docker-container");
    const devices = [
      { name: "nvidia.com/gpu=0", allowed: false },
      { name: "nvidia.com/gpu=all", allowed: true },
      { name: "nvidia.com/gpu", allowed: true },
    ];
    expect(await list("b")).toEqual({ devices });
    expect(devicesIn(said.replace(/Devices:[\s\S]*/, ""))).toEqual([]);
  });

  test("without a name is the one that buildx has selected", async () => {
    docker('[ "$*" = "buildx inspect --bootstrap" ] && echo "Name: default"');
    expect(await list(undefined)).toEqual({ devices: [] });
  });

  test("that buildx cannot reach is told in its words", async () => {
    docker('[ "$2" = version ] || { echo "ERROR: Cannot connect to the Docker daemon" >&2; exit 1; }');
    expect(await list(undefined)).toEqual({
      unknown: "`docker buildx inspect --bootstrap` says: ERROR: Cannot connect to the Docker daemon",
    });
  });

  test("cannot be asked with a docker without buildx", async () => {
    docker('echo "unknown flag: --bootstrap" >&2; echo "See docker --help." >&2; exit 125');
    expect(await list("b")).toEqual({
      unknown: "`docker buildx inspect` tells that, and this docker has no buildx",
    });
  });

  test("of which buildx reaches no node is not taken for one without devices", async () => {
    docker('echo "Name: b"; echo "Error:            connection refused"');
    expect(await list(undefined)).toEqual({ unknown: "`docker buildx inspect --bootstrap` says: connection refused" });
  });

  test("cannot be asked without docker", async () => {
    vi.stubEnv("PATH", join(folder, "bin"));
    expect(await list(undefined)).toEqual({
      unknown: "`docker buildx inspect` tells that, and there is no docker on the PATH",
    });
  });
});
