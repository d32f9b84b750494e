import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerEnvironment } from "../../local/docker.ts";
import { output } from "../../local/exec.ts";
import { freePort } from "../../local/freePort.ts";
import { local, root, tools } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { type Result, run } from "../run.ts";

/** Whether such a folder can be made: the Docker that an ordinary user's tests bring up is in a network without the registry. */
export const hasDocker = process.platform === "linux" && process.getuid?.() === 0;

/**
 * A tools folder of its own whose builder is in Docker. Its programs, model files and base image are those that `make test` has
 * brought up; its services, its ports and its state are others.
 */
export class DockerTools {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.env = env;
  }

  static async make(): Promise<DockerTools> {
    const folder = mkdtempSync(join(local, "docker-test-"));
    mkdirSync(join(folder, "local/base"), { recursive: true });
    const parts = [
      "bin",
      "libexec",
      "downloads",
      "pulumi-home",
      "pulumi-home-archive",
      "local/artifacts",
      "local/wheels",
    ];
    for (const part of parts.filter((part) => existsSync(join(tools, part)))) {
      await link(join(tools, part), join(folder, part));
    }
    const port = await freePort();
    await takeBase(folder, port);
    // With what reaches Docker, but without what else the engine runs with.
    const { PATH = "", DOCKER_HOST, DOCKER_API_VERSION } = await dockerEnvironment(await localEnvironment());
    const docker = { PATH, ...(DOCKER_HOST && { DOCKER_HOST }), ...(DOCKER_API_VERSION && { DOCKER_API_VERSION }) };
    // A home of Pulumi's that the environment names would be the user's, whose plugins are taken.
    const { PULUMI_HOME: _, ...others } = process.env;
    return new DockerTools(folder, {
      ...others,
      ...docker,
      FACECRAFT_TOOLS: folder,
      FACECRAFT_CACHE: join(folder, "cache"),
      FACECRAFT_BUILDER: "docker",
      FACECRAFT_REGISTRY_PORT: String(port),
      STACK: "local",
    });
  }

  /** A command behind the Makefile. */
  command(name: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
    return run(["node", "local/cli.ts", name], root, { ...this.env, ...env });
  }

  /** A piece of code in a process of this tools folder. */
  code(text: string): Promise<Result> {
    return run(["node", "--input-type=module", "--eval", text], root, this.env);
  }

  async docker(...args: string[]): Promise<string> {
    return (await output("docker", args, { env: this.env })).trim();
  }

  /** Names of what Docker has for this tools folder, and of nothing else. */
  async inDocker(): Promise<string[]> {
    const label = `label=facecraft.tools=${this.folder}`;
    const lists = [
      await this.docker("container", "ls", "--all", "--filter", label, "--format", "{{.Names}}"),
      await this.docker("volume", "ls", "--filter", label, "--format", "{{.Name}}"),
      await this.docker("image", "ls", "--filter", label, "--format", "{{.Repository}}"),
    ];
    return lists.flatMap((list) => list.split("\n").filter(Boolean));
  }

  async remove(): Promise<void> {
    await this.command("down");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Another name for each of its files, where that can be had: they are gigabytes, and no one writes into one. */
async function link(from: string, to: string): Promise<void> {
  mkdirSync(join(to, ".."), { recursive: true });
  await output("cp", ["-al", from, to]);
}

/** The base image, as the registry on that port is to have it. */
async function takeBase(folder: string, port: number): Promise<void> {
  const registry = "local/registry/docker/registry/v2";
  await link(join(tools, registry, "blobs"), join(folder, registry, "blobs"));
  if (existsSync(join(tools, registry, "repositories/base"))) {
    cpSync(join(tools, registry, "repositories/base"), join(folder, registry, "repositories/base"), {
      recursive: true,
    });
  }
  const chosen = readFileSync(join(local, "base/chosen.json"), "utf8");
  const moved = chosen.replaceAll(`localhost:${knownPorts()?.registry}/`, `localhost:${port}/`);
  writeFileSync(join(folder, "local/base/chosen.json"), moved);
}
