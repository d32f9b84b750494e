import { type Ended, output, run, which } from "./exec.ts";
import { tools } from "./paths.ts";
import { toolPath } from "./tools.ts";

/** Says of what is made in Docker which tools folder it belongs to. */
export const ownLabel = `facecraft.tools=${tools}`;

/** The user's Docker, by the user's `docker`. */
export class Docker {
  /** As DOCKER_HOST has it. */
  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  /** The one that the environment names, else that of the context that is in use. @throws Failure where there is no `docker` */
  static async users(): Promise<Docker> {
    const format = ["--format", "{{.Endpoints.docker.Host}}"];
    return new Docker(process.env.DOCKER_HOST || (await output("docker", ["context", "inspect", ...format])).trim());
  }

  /** What reaches it, whatever context the environment names; our own tools are on its PATH, too. */
  get env(): NodeJS.ProcessEnv {
    const { DOCKER_CONTEXT: _, ...others } = process.env;
    return { ...others, PATH: toolPath(), DOCKER_HOST: this.address };
  }

  /** Runs a command and returns what it prints. @throws Failure with what it says when it fails */
  call(...args: string[]): Promise<string> {
    return output("docker", args, { env: this.env });
  }

  /** Runs a command to its end, however it ends. */
  run(...args: string[]): Promise<Ended> {
    return run("docker", args, { env: this.env });
  }

  async hasImage(image: string): Promise<boolean> {
    return (await this.run("image", "inspect", "--format", "{{.Id}}", image)).code === 0;
  }

  /** Why a builder in it is of no use to the local stacks, as a clause; undefined where nothing speaks against it. */
  async fault(): Promise<string | undefined> {
    if (!isHere(this.address)) {
      return `the Docker at ${this.address} is on another machine, which does not reach the registry of this one`;
    }
    const asked = ["version", "--format", "{{.Server.Os}}"];
    const { code, stdout, text } = await run("docker", asked, { env: this.env, timeout: 10_000 });
    if (code !== 0) {
      return `no Docker answers at ${this.address} (${text.trim().split("\n").at(-1)})`;
    }
    return stdout === "linux" ? undefined : `the Docker at ${this.address} runs containers of ${stdout}, not of Linux`;
  }
}

/** Why the user's Docker is of no use, as a clause. */
export async function whyNoDocker(docker?: Docker): Promise<string | undefined> {
  return which("docker") === undefined
    ? "there is no `docker` on the PATH"
    : (docker ?? (await Docker.users())).fault();
}

/** The proxies of this process, as NAME=VALUE: a container has none of them by itself. */
export function proxies(): string[] {
  const set = (names: string[]) =>
    names
      .flatMap((name) => [name, name.toLowerCase()])
      .flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : []));
  const named = set(["HTTP_PROXY", "HTTPS_PROXY"]);
  return named.length > 0 ? [...named, ...set(["NO_PROXY"])] : [];
}

function isHere(address: string): boolean {
  const { protocol, hostname = "" } = URL.parse(address) ?? {};
  return protocol === "unix:" || (protocol === "tcp:" && /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname));
}
