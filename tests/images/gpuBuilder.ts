import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheBounds } from "../../local/cacheBounds.ts";
import { run } from "../../local/exec.ts";
import { local, paths } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { inUserNamespace, namespaceEnvironment, removeTree } from "../../local/rootless.ts";
import { describeStandIn, type StandInGpu } from "../../local/standins/gpu/spec.ts";
import { toolPath } from "../../local/tools.ts";
import { listDevices } from "../../plan/devices.ts";

const rootless = process.getuid?.() !== 0;

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
    mkdirSync(builder.#specs);
    mkdirSync(join(builder.buildx, "instances"), { recursive: true });
    const node = { Name: `${builderName}0`, Endpoint: `unix://${builder.socket}` };
    const instance = { Name: builderName, Driver: "remote", Nodes: [node] };
    writeFileSync(join(builder.buildx, "instances", builderName), JSON.stringify(instance));
    // Another clone that shares the tools may run the same test.
    for (const root of [join(local, rootless ? "test-gpu-rootless" : "test-gpu"), join(builder.#folder, "root")]) {
      if (await builder.#run(root)) {
        return builder;
      }
    }
    throw new Error(`the tests' BuildKit did not start: ${readFileSync(join(builder.#folder, "log"), "utf8")}`);
  }

  /** Starts it with a folder for what it keeps. @returns whether it answers */
  async #run(root: string): Promise<boolean> {
    const config = join(this.#folder, "buildkitd.toml");
    writeFileSync(
      config,
      [
        `root = "${root}"`,
        "[grpc]",
        `address = ["unix://${this.socket}"]`,
        "[cdi]",
        `specDirs = ["${this.#specs}"]`,
        'autoAllowed = ["nvidia.com/gpu"]',
        ...(rootless ? ["[otel]", `socketPath = "${join(this.#folder, "otel.sock")}"`] : []),
        "[worker.containerd]",
        "enabled = false",
        "[worker.oci]",
        ...(rootless ? ["rootless = true"] : []),
        'networkMode = "host"',
        ...cacheBounds(root),
        `[registry."localhost:${knownPorts()?.registry}"]`,
        "http = false",
        `ca = ["${join(paths.tls, "ca.pem")}"]`,
        "",
      ].join("\n"),
    );
    const out = openSync(join(this.#folder, "log"), "a");
    const env = {
      ...process.env,
      PATH: toolPath(),
      OTEL_TRACES_EXPORTER: "none",
      ...(rootless ? namespaceEnvironment() : {}),
    };
    const buildkitd: [string, ...string[]] = ["buildkitd", "--config", config];
    const [program, ...args] = rootless ? inUserNamespace([...buildkitd, "--rootless"]) : buildkitd;
    const started = spawn(program, args, { stdio: ["ignore", out, out], env });
    closeSync(out);
    this.#process = started;
    for (let i = 0; i < 300 && started.exitCode === null; i++) {
      const { code } = await run("buildctl", ["--addr", `unix://${this.socket}`, "debug", "workers"], { env });
      if (code === 0) {
        return true;
      }
      await sleep(100);
    }
    started.kill();
    return false;
  }

  /** Gives the machine another GPU, or takes it away; BuildKit watches the folder. */
  async has(gpu: StandInGpu | undefined): Promise<void> {
    const file = join(this.#specs, "gpu.json");
    // Two GPUs are listed alike: only one that comes after none is surely the other.
    rmSync(file, { force: true });
    await this.#lists(0);
    if (gpu) {
      writeFileSync(`${file}.new`, describeStandIn(gpu));
      renameSync(`${file}.new`, file);
      await this.#lists(1);
    }
  }

  /** Waits until BuildKit lists so many devices. */
  async #lists(count: number): Promise<void> {
    const before = process.env.BUILDX_CONFIG;
    process.env.BUILDX_CONFIG = this.buildx;
    try {
      for (let i = 0; i < 100; i++) {
        await sleep(100);
        const listed = await listDevices(builderName);
        if ("devices" in listed && listed.devices.length === count) {
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
    await removeTree(this.#folder);
  }
}

function restore(before: string | undefined): void {
  if (before === undefined) {
    delete process.env.BUILDX_CONFIG;
  } else {
    process.env.BUILDX_CONFIG = before;
  }
}
