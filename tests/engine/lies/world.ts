import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { which } from "../../../local/exec.ts";
import { root } from "../../../local/paths.ts";
import { type Result, run } from "../../run.ts";
import { Clone } from "../harness.ts";
import { type Config, unchanged } from "./configs.ts";
import { type Events, readLog } from "./events.ts";
import { make, type Place, type Source } from "./sources.ts";

export interface Told extends Result {
  events: Events;
}

/** One clone and its release, to which all cases of a run happen. */
export class World {
  readonly clone: Clone;
  readonly #top: string;
  #cases = 0;

  private constructor(clone: Clone) {
    this.clone = clone;
    this.#top = mkdtempSync(join(clone.state, "..", "lies-"));
  }

  static async make(): Promise<World> {
    process.env.PULUMI_DEBUG_COMMANDS = "true"; // the engine's --event-log
    const world = new World(await Clone.make());
    world.#keepEventLogs();
    return world;
  }

  get eventLog(): string {
    return join(this.#top, "events.json");
  }

  /** Makes a source in a folder of its own. */
  place(source: Source): Place {
    const folder = join(this.#top, `case-${++this.#cases}`);
    mkdirSync(folder);
    return make(source, folder);
  }

  /** Configures the clone: its own application unless another place is given. */
  configure(config: Config = unchanged, folder?: string): void {
    const source = folder === undefined ? "app" : JSON.stringify(folder);
    this.clone.writeConfig((text) => config.change(text.replace(/source: .*/, `source: ${source}`)));
  }

  async up(variables: Record<string, string> = {}, ...args: string[]): Promise<Told> {
    rmSync(this.eventLog, { force: true });
    const result = await this.#with(variables, () => this.clone.up("--event-log", this.eventLog, ...args));
    return { ...result, events: this.events() };
  }

  events(): Events {
    return readLog(existsSync(this.eventLog) ? readFileSync(this.eventLog, "utf8") : "");
  }

  /** What drift would say, had the release been published at another host. */
  async driftAt(host: string): Promise<Result> {
    const { clone } = this;
    return clone.driftOf((await clone.exported()).replaceAll(`localhost:${clone.ports.registry}`, host));
  }

  /** Lets the program copy a source for the build, as a preview would, and edits the copies. */
  async editSnapshots(folder: string): Promise<void> {
    const code = `import { readDockerfile } from "./plan/dockerfile.ts";
      import { resolveSource } from "./plan/source.ts";
      await resolveSource(${JSON.stringify(folder)}, readDockerfile("docker/Dockerfile.cpu"));`;
    await run(["node", "--input-type=module", "-e", code], this.clone.folder, this.clone.environment);
    const copies = join(this.clone.folder, ".facecraft/source");
    for (const name of existsSync(copies) ? readdirSync(copies) : []) {
      const file = join(copies, name, "src/facecraft/main.py");
      if (existsSync(file)) {
        writeFileSync(file, `${readFileSync(file, "utf8")}\n# edited in the copy\n`);
      }
    }
  }

  /** The engine's PATH has a `pulumi` before the real one that keeps the event log, which a preview throws away. */
  #keepEventLogs(): void {
    const { environment } = this.clone;
    const bin = join(this.#top, "bin");
    mkdirSync(bin);
    const script = `#!/bin/sh
previous= log=
for argument; do [ "$previous" != --event-log ] || log=$argument; previous=$argument; done
'${which("pulumi", environment.PATH)}' "$@"
code=$?
[ ! -f "$log" ] || [ "$log" = '${this.eventLog}' ] || cp "$log" '${this.eventLog}'
exit $code
`;
    writeFileSync(join(bin, "pulumi"), script);
    chmodSync(join(bin, "pulumi"), 0o755);
    environment.LIES_PATH = `${bin}:${environment.PATH}`;
  }

  async #with<T>(variables: Record<string, string>, work: () => Promise<T>): Promise<T> {
    const { environment } = this.clone;
    Object.assign(environment, variables);
    try {
      return await work();
    } finally {
      for (const name of Object.keys(variables)) {
        delete environment[name];
      }
    }
  }

  remove(): void {
    this.clone.remove();
  }
}

/** An update as `make up` runs it, in a process group of its own that can be killed as a whole. */
export function killableUpdate({ clone }: Pick<World, "clone">): { kill(): void; ended: Promise<unknown> } {
  const args = ["up", "--refresh", "--stack", clone.stack, "--config-file", clone.configFile];
  const all = [...args, "--yes", "--skip-preview", "--non-interactive"];
  const code = `import { runUpdate } from ${JSON.stringify(join(root, "local/updates.ts"))};
    process.exitCode = await runUpdate(${JSON.stringify(all)}, { cwd: ${JSON.stringify(clone.folder)}, env: process.env });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: "ignore",
    env: clone.environment,
    detached: true,
  });
  return {
    kill() {
      try {
        process.kill(-(child.pid as number), "SIGKILL");
      } catch {
        // It was faster.
      }
    },
    ended: new Promise((resolve) => child.on("close", resolve)),
  };
}
