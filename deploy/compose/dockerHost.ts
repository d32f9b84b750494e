import spawn, { type SubprocessError } from "nano-spawn";
import { type ComposeFile, service } from "./composeFile.ts";
import type { Host } from "./rollout.ts";

/** Where the container keeps the Compose file that started it, so that any machine can go back to it. */
const fileLabel = "io.facecraft.compose";

/** The Docker host that DOCKER_HOST, or docker's own context, names. Compose files go in by standard input. */
export async function dockerHost(): Promise<Host> {
  const compose = await composeCommand();
  const run = (project: string, args: string[], input?: ComposeFile) =>
    output(
      [...compose, "--project-name", project, ...(input ? ["--file", "-"] : []), ...args],
      input && JSON.stringify(input),
    );
  return {
    async running(project) {
      const kept = (await inspect(project))?.Config.Labels[fileLabel];
      return kept ? JSON.parse(Buffer.from(kept, "base64").toString()) : undefined;
    },
    async up(file, seconds) {
      const wait = ["--wait", "--wait-timeout", String(seconds)];
      await run(file.name, ["up", "--detach", "--remove-orphans", "--quiet-pull", ...wait], withLabel(file));
      // Compose may end without an error when the time is up (seen with 5.1.0): only the container's own word counts.
      const status = (await inspect(file.name))?.State.Health?.Status ?? "without a health check";
      if (status !== "healthy") {
        throw new Error(`the container is ${status} after ${seconds} s`);
      }
    },
    async down(project, { volumes }) {
      await run(project, ["down", "--remove-orphans", ...(volumes ? ["--volumes"] : [])]);
    },
    logs: (project) => run(project, ["logs", "--no-color", "--no-log-prefix", "--tail", "40"]),
  };
}

interface Container {
  Config: { Labels: Record<string, string> };
  State: { Health?: { Status: string } };
}

/** The container of a project that runs. */
async function inspect(project: string): Promise<Container | undefined> {
  const filters = [`label=com.docker.compose.project=${project}`, `label=com.docker.compose.service=${service}`];
  const query = filters.flatMap((filter) => ["--filter", filter]);
  const [id] = (await output(["docker", "container", "ls", "--quiet", ...query])).split("\n").filter(Boolean);
  return id ? JSON.parse(await output(["docker", "container", "inspect", id]))[0] : undefined;
}

function withLabel(file: ComposeFile): ComposeFile {
  const kept = Buffer.from(JSON.stringify(file)).toString("base64");
  return { ...file, services: { [service]: { ...file.services[service], labels: { [fileLabel]: kept } } } };
}

/** Compose as docker's plugin, or by itself. */
async function composeCommand(): Promise<string[]> {
  for (const command of [["docker", "compose"], ["docker-compose"]]) {
    if (
      await output([...command, "version"]).then(
        () => true,
        () => false,
      )
    ) {
      return command;
    }
  }
  throw new Error("Docker Compose is missing: neither `docker compose` nor `docker-compose` can be run. Install it.");
}

/** @throws Error with the last line that the program said, or its exit code */
async function output([program = "", ...args]: readonly string[], input = ""): Promise<string> {
  try {
    return (await spawn(program, args, { stdin: { string: input } })).stdout;
  } catch (error) {
    const { stderr = "", cause } = error as SubprocessError;
    const said = stderr.trim().split("\n").at(-1);
    throw new Error(said || ((cause ?? error) as Error).message);
  }
}
