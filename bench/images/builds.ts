import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output } from "../../local/exec.ts";
import { paths, root } from "../../local/paths.ts";
import { toolPath } from "../../local/tools.ts";
import { readConfig } from "../../registry/imageConfig.ts";
import { onePlatform } from "../../registry/platforms.ts";
import { Repository } from "../../registry/repository.ts";

/** One way to write the Dockerfile, with a copy of the application that can be edited. */
export class Style {
  readonly app = mkdtempSync(join(tmpdir(), "facecraft-bench-"));
  readonly name: string;
  readonly repository: string;
  readonly #dockerfile: string;
  readonly #args: Record<string, string>;

  constructor(name: string, dockerfile: string, repository: string, args: Record<string, string>) {
    this.name = name;
    this.#dockerfile = dockerfile;
    this.repository = repository;
    this.#args = args;
    cpSync(join(root, "app"), this.app, { recursive: true });
  }

  /** Builds and pushes; returns the seconds that took. */
  async build(tag: string, ...options: string[]): Promise<number> {
    const started = performance.now();
    await output(
      "buildctl",
      [
        ...["--addr", `unix://${paths.buildkitSocket}`, "build", "--progress=plain", "--frontend", "dockerfile.v0"],
        ...["--local", `context=${this.app}`, "--local", `dockerfile=${join(root, this.#dockerfile, "..")}`],
        ...["--opt", `filename=${this.#dockerfile.replace(/.*\//, "")}`],
        ...["--opt", "context:scripts=local:scripts", "--local", `scripts=${join(root, "docker/scripts")}`],
        ...["--output", `type=image,name=${this.repository}:${tag},push=true,oci-mediatypes=true`],
        ...["--secret", `id=ca_bundle,src=${paths.trustedCas}`],
        ...Object.entries(this.#args).flatMap(([name, value]) => ["--opt", `build-arg:${name}=${value}`]),
        ...options,
      ],
      { env: { ...process.env, PATH: toolPath() } },
    );
    return (performance.now() - started) / 1000;
  }

  /** Runs the image's own command in a container of its own, without a network, until it is ready. @returns seconds */
  async firstStart(tag: string): Promise<{ wall: number; cpu: number }> {
    const repository = new Repository(this.repository);
    const { digest } = await repository.manifest(tag);
    const command = (await readConfig(repository, await onePlatform(repository, tag))).config?.Cmd ?? [];
    const folder = mkdtempSync(join(tmpdir(), "facecraft-bench-"));
    cpSync(join(import.meta.dirname, "first_start.py"), join(folder, "first_start.py"));
    const step = `RUN --network=none --mount=type=tmpfs,target=/tmp python3 /first_start.py ${command.join(" ")} > /app/logs/started`;
    const lines = [`FROM ${this.repository}@${digest} AS run`, "COPY first_start.py /", step];
    const dockerfile = [...lines, "FROM scratch", "COPY --from=run /app/logs/started /", ""].join("\n");
    writeFileSync(join(folder, "Dockerfile"), dockerfile);
    const build = ["--addr", `unix://${paths.buildkitSocket}`, "build", "--frontend", "dockerfile.v0", "--no-cache"];
    const inputs = ["--local", `context=${folder}`, "--local", `dockerfile=${folder}`];
    await output("buildctl", [...build, ...inputs, "--output", `type=local,dest=${folder}/out`], {
      env: { ...process.env, PATH: toolPath() },
    });
    return JSON.parse(readFileSync(join(folder, "out/started"), "utf8").trim().split("\n").at(-1) ?? "");
  }

  /** Bytes of the layers of `tag` that a registry or node does not have yet when it has `base`. */
  async newBytes(tag: string, base: { repository: string; tag: string }): Promise<number> {
    const [before, after] = await Promise.all([layersOf(base.repository, base.tag), layersOf(this.repository, tag)]);
    return [...after].reduce((sum, [digest, size]) => sum + (before.has(digest) ? 0 : size), 0);
  }
}

async function layersOf(repository: string, tag: string): Promise<Map<string, number>> {
  const { manifest } = await new Repository(repository).manifest(tag);
  return new Map((manifest.layers ?? []).map(({ digest, size }) => [digest, size]));
}
