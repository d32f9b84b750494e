import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baseImages } from "../../local/base.ts";
import { output } from "../../local/exec.ts";
import { paths, root, tools } from "../../local/paths.ts";
import { knownPorts, type Ports } from "../../local/ports.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { fillIn, localBuilder } from "../../local/stackConfig.ts";
import { wheelsAddress } from "../../local/wheels.ts";
import type { ProofOutput } from "../../plan/proven.ts";
import { type Result, run } from "../run.ts";

/**
 * A clone of this project with its own state, its own model files and its own repository in the local registry. It shares
 * the builder, the registry and the wheel index that `make test` has brought up.
 */
export class Clone {
  readonly folder: string;
  readonly state: string;
  readonly artifacts: string;
  readonly repository: string;
  readonly ports: Ports;
  readonly stack: string;
  umask = 0o022;
  private server: { port: number; stop(): void } | undefined;
  private env: NodeJS.ProcessEnv | undefined;

  private constructor(folder: string, state: string, artifacts: string, ports: Ports, stack: string, name: string) {
    this.folder = folder;
    this.state = state;
    this.artifacts = artifacts;
    this.ports = ports;
    this.stack = stack;
    this.repository = `localhost:${ports.registry}/${name}/facecraft`;
  }

  static async make(stack: "local" | "local-gpu" = "local"): Promise<Clone> {
    const ports = knownPorts();
    if (!ports) {
      throw new Error("The local services are not up; run the engine tests with `make test`.");
    }
    const top = mkdtempSync(join(tmpdir(), "facecraft-test-"));
    const clone = new Clone(
      join(top, "clone"),
      join(top, "state"),
      join(top, "artifacts"),
      ports,
      stack,
      `test-${randomBytes(4).toString("hex")}`,
    );
    await checkout(clone.folder);
    mkdirSync(clone.artifacts);
    for (const file of ["shape_predictor_68_face_landmarks.dat.bz2", "codeformer.pth", "u2net_human_seg-graph.onnx"]) {
      cpSync(join(paths.artifacts, file), join(clone.artifacts, file));
    }
    clone.server = await serve(clone.artifacts);
    clone.env = {
      ...(await localEnvironment(clone.state)),
      FACECRAFT_CACHE: join(top, "cache"),
      FACECRAFT_ROOT: root,
    };
    clone.writeConfig();
    await output("pulumi", ["stack", "select", "--create", stack], { cwd: clone.folder, env: clone.env });
    return clone;
  }

  /** Another checkout of the same commit, with the same state, models and registry. */
  async second(umask: number): Promise<Clone> {
    const twin: Clone = Object.create(Clone.prototype, Object.getOwnPropertyDescriptors(this));
    const folder = join(mkdtempSync(join(tmpdir(), "facecraft-test-")), "elsewhere");
    await output("sh", ["-c", `umask ${umask.toString(8)} && git clone -q "$0" "$1"`, this.folder, folder]);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    Object.defineProperty(twin, "folder", { value: folder });
    twin.umask = umask;
    return twin;
  }

  get configFile(): string {
    return join(this.state, "..", "config.yaml");
  }

  /** What the engine runs with. */
  get environment(): NodeJS.ProcessEnv {
    return this.env ?? {};
  }

  /** Writes the stack's config: the project's file with this clone's addresses, and lines that a test changes. */
  writeConfig(change: (text: string) => string = (text) => text): void {
    const values = {
      registry: this.repository.replace(/\/facecraft$/, ""),
      artifacts: `http://localhost:${this.server?.port}`,
      wheels: wheelsAddress(this.ports),
      builder: localBuilder,
      caBundle: paths.trustedCas,
      ...bases,
    };
    const file = `Pulumi.${this.stack}.yaml`;
    // A cache would only be written: the builder has all of it.
    const text = readFileSync(join(root, file), "utf8").replace(/^ *facecraft:cacheRepository:.*\n/m, "");
    writeFileSync(this.configFile, change(fillIn(text, values, file)));
  }

  /** Sets a secret value of the stack's config; `writeConfig` takes it out again. */
  async setSecret(path: string, value: string): Promise<void> {
    const args = ["config", "set", "--secret", "--path", path, value];
    const where = ["--stack", this.stack, "--config-file", this.configFile];
    await output("pulumi", [...args, ...where], { cwd: this.folder, env: this.env ?? {} });
  }

  pulumi(command: string, ...args: string[]): Promise<Result> {
    const all = [
      command,
      "--stack",
      this.stack,
      "--config-file",
      this.configFile,
      "--non-interactive",
      "--suppress-progress",
    ];
    const unattended = ["preview"].includes(command) ? [] : ["--yes", "--skip-preview"];
    return run(["pulumi", ...all, ...unattended, ...args], this.folder, this.env ?? {}, this.umask);
  }

  up(...args: string[]): Promise<Result> {
    return this.pulumi("up", "--refresh", ...args);
  }

  async outputs(): Promise<Outputs> {
    const args = ["stack", "output", "--json", "--stack", this.stack];
    return JSON.parse(await output("pulumi", args, { cwd: this.folder, env: this.env ?? {} }));
  }

  async resources(): Promise<{ type: string; outputs?: Record<string, unknown> }[]> {
    const args = ["stack", "export", "--stack", this.stack];
    const { deployment } = JSON.parse(await output("pulumi", args, { cwd: this.folder, env: this.env ?? {} }));
    return deployment.resources ?? [];
  }

  /** The whole state, with its secrets, as `make drift` reads it. */
  async exported(): Promise<string> {
    const args = ["stack", "export", "--show-secrets", "--stack", this.stack];
    return output("pulumi", args, { cwd: this.folder, env: this.env ?? {} });
  }

  /** What `make drift` does once everything is set up. */
  drift(): Promise<Result> {
    const code = `m.drift(${JSON.stringify(this.stack)}, process.env).then((code) => { process.exitCode = code; })`;
    const script = `import("./local/drift.ts").then((m) => ${code})`;
    return run(["node", "-e", script], this.folder, this.environment);
  }

  /** Whether `make up` leaves out the refresh. */
  async asLeft(): Promise<boolean> {
    const file = join(this.state, ".pulumi/stacks/facecraft", `${this.stack}.json`);
    return (await run(["node", join(root, "local/asLeft.ts"), file], this.folder, this.environment)).code === 0;
  }

  /** The same of a state that a test made up. */
  driftOf(state: string): Promise<Result> {
    const file = join(this.state, "..", "state.json");
    writeFileSync(file, state);
    return run(["sh", "-c", 'node scripts/drift.ts local < "$0"', file], this.folder, this.environment);
  }

  /** Edits a file of the clone. */
  edit(file: string, change: (text: string) => string): void {
    const path = join(this.folder, file);
    const before = readFileSync(path, "utf8");
    const after = change(before);
    if (after === before) {
      throw new Error(`the test's edit of ${file} changes nothing`);
    }
    writeFileSync(path, after);
  }

  async commit(message: string): Promise<string> {
    await git(this.folder, "commit", "-qam", message);
    return (await git(this.folder, "rev-parse", "HEAD")).trim();
  }

  /** Tags of the repository, or none where it does not exist yet. */
  async tags(): Promise<string[]> {
    const { status, json } = await this.registry("GET", "tags/list");
    return status === 200 ? ((json as { tags: string[] | null }).tags ?? []).sort() : [];
  }

  async registry(
    method: string,
    path: string,
    body?: string,
  ): Promise<{ status: number; json: unknown; digest: string | undefined }> {
    const ca = readFileSync(join(paths.tls, "ca.pem"));
    const { request } = await import("node:https");
    const name = this.repository.slice(this.repository.indexOf("/") + 1);
    const accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";
    return new Promise((resolve, reject) => {
      const url = `https://localhost:${this.ports.registry}/v2/${name}/${path}`;
      const headers = { accept, ...(body && { "content-type": "application/vnd.oci.image.manifest.v1+json" }) };
      const sent = request(url, { method, ca, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () => {
          const text = Buffer.concat(parts).toString();
          resolve({
            status: response.statusCode ?? 0,
            json: text.startsWith("{") ? JSON.parse(text) : text,
            digest: response.headers["docker-content-digest"] as string | undefined,
          });
        });
      });
      sent.on("error", reject).end(body);
    });
  }

  /** What `docker tag` and `docker push` of somebody else do: lets a tag name other bytes. @returns their digest */
  async moveTag(tag: string, note = "somebody else's"): Promise<string> {
    const { json } = await this.registry("GET", `manifests/${(await this.outputs()).digest}`);
    const other = JSON.stringify({ ...(json as object), annotations: { note } });
    const { status, digest } = await this.registry("PUT", `manifests/${tag}`, other);
    if (status !== 201 || !digest) {
      throw new Error(`the registry answered ${status} to a moved tag`);
    }
    return digest;
  }

  /** Stops or starts the server of the model files. */
  async serveModels(on: boolean): Promise<void> {
    this.server?.stop();
    if (on) {
      this.server = await serve(this.artifacts, this.server?.port);
    }
  }

  remove(): void {
    this.server?.stop();
    rmSync(join(this.state, ".."), { recursive: true, force: true });
  }
}

/** The stack outputs that deploy stacks rely on. */
export interface Outputs {
  imageRef: string;
  digest: string;
  tags: string[];
  variant: string;
  version: string;
  revision: string;
  torchIndexUrl: string;
  labels: Record<string, string>;
  healthcheck: Record<string, unknown>;
  models: Record<string, { file: string; url: string; sha256: string; sizeBytes: number }>;
  proof: Partial<ProofOutput>;
  signature: string;
  sbom: string;
  provenance: string;
}

const bases = await baseImages();

/** The environment of a clone with tools of its own: none of these programs are on its PATH, and no Pulumi home is named. */
export function strangersEnvironment(): NodeJS.ProcessEnv {
  const path = (process.env.PATH ?? "").split(":").filter((entry) => !entry.startsWith(tools));
  // Plugins in the Pulumi home of the environment would be taken from there, as the user's.
  const { PULUMI_HOME, ...rest } = process.env;
  return { ...rest, PATH: path.join(":") };
}

/** Puts this project as it is into a folder, as a repository with one commit, ready to run: a test changes it without touching ours. */
export async function checkout(folder: string): Promise<void> {
  const listed = await output("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of listed.split("\0").filter((file) => file !== "" && existsSync(join(root, file)))) {
    cpSync(join(root, file), join(folder, file));
  }
  await git(folder, "init", "-q");
  await git(folder, "add", "--all");
  await git(folder, "commit", "-qm", "As it is");
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, ".git/info/exclude"), "node_modules\n");
}

function git(folder: string, ...args: string[]): Promise<string> {
  return output("git", ["-c", "user.name=Test", "-c", "user.email=test@example.com", ...args], { cwd: folder });
}

async function serve(folder: string, port = 0): Promise<{ port: number; stop(): void }> {
  const child = spawn(process.execPath, [join(root, "local/file-server.ts"), folder, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const chosen = await new Promise<number>((resolve) => child.stdout.once("data", (line) => resolve(Number(line))));
  return { port: chosen, stop: () => child.kill() };
}
