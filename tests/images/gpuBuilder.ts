import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../local/exec.ts";
import { local, paths } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { describeStandIn, type StandInGpu } from "../../local/standins/gpu/spec.ts";
import { toolPath } from "../../local/tools.ts";
import { listDevices } from "../../plan/devices.ts";

export const builderName = "facecraft-test-gpu";

/** A BuildKit of the tests' own, whose machine has a GPU, or none, as a test wants it. It keeps its cache from run to run. */
export class GpuBuilder {
  readonly #folder = mkdtempSync(join(tmpdir(), "facecraft-gpu-builder-"));
  readonly socket = join(this.#folder, "buildkitd.sock");
  /** What buildx knows: this builder only. */
  readonly buildx = join(this.#folder, "buildx");
  readonly #specs = join(this.#folder, "cdi");
  #process: ChildProcess | undefined;

  static async start(): Promise<GpuBuilder> {
    const builder = new GpuBuilder();
    const config = join(builder.#folder, "buildkitd.toml");
    mkdirSync(builder.#specs);
    mkdirSync(join(builder.buildx, "instances"), { recursive: true });
    const node = { Name: `${builderName}0`, Endpoint: `unix://${builder.socket}` };
    const instance = { Name: builderName, Driver: "remote", Nodes: [node] };
    writeFileSync(join(builder.buildx, "instances", builderName), JSON.stringify(instance));
    writeFileSync(
      config,
      [
        `root = "${join(local, "test-gpu")}"`,
        "[grpc]",
        `address = ["unix://${builder.socket}"]`,
        "[cdi]",
        `specDirs = ["${builder.#specs}"]`,
        'autoAllowed = ["nvidia.com/gpu"]',
        "[worker.containerd]",
        "enabled = false",
        "[worker.oci]",
        'networkMode = "host"',
        'maxUsedSpace = "10GB"',
        'reservedSpace = "5GB"',
        'minFreeSpace = "5GB"',
        `[registry."localhost:${knownPorts()?.registry}"]`,
        "http = false",
        `ca = ["${join(paths.tls, "ca.pem")}"]`,
        "",
      ].join("\n"),
    );
    const log = join(builder.#folder, "log");
    const out = openSync(log, "a");
    builder.#process = spawn("buildkitd", ["--config", config], {
      stdio: ["ignore", out, out],
      env: { ...process.env, PATH: toolPath(), OTEL_TRACES_EXPORTER: "none" },
    });
    for (let i = 0; i < 300; i++) {
      const { code } = await run("buildctl", ["--addr", `unix://${builder.socket}`, "debug", "workers"], {
        env: { ...process.env, PATH: toolPath() },
      });
      if (code === 0) {
        return builder;
      }
      await sleep(100);
    }
    throw new Error(`the tests' BuildKit did not start: ${readFileSync(log, "utf8")}`);
  }

  /** Gives the machine another GPU, or takes it away; BuildKit watches the folder. */
  async has(gpu: StandInGpu | undefined): Promise<void> {
    const file = join(this.#specs, "gpu.json");
    if (gpu) {
      writeFileSync(`${file}.new`, describeStandIn(gpu));
      renameSync(`${file}.new`, file);
    } else {
      rmSync(file, { force: true });
    }
    const before = process.env.BUILDX_CONFIG;
    process.env.BUILDX_CONFIG = this.buildx;
    try {
      for (let i = 0; i < 100; i++) {
        await sleep(100);
        const listed = await listDevices(builderName);
        if ("devices" in listed && listed.devices.length === (gpu ? 1 : 0)) {
          return;
        }
      }
    } finally {
      restore(before);
    }
    throw new Error("the tests' BuildKit does not see what its machine has");
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once("exit", resolve));
    this.#process?.kill();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function restore(before: string | undefined): void {
  if (before === undefined) {
    delete process.env.BUILDX_CONFIG;
  } else {
    process.env.BUILDX_CONFIG = before;
  }
}
