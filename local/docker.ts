import { existsSync } from "node:fs";
import { join } from "node:path";
import { goBuild } from "./acquire.ts";
import { accepts, awaitDaemon, type Daemon, daemonPid, startDaemon, stopDaemon } from "./daemon.ts";
import { hasDebian, unpackDebian } from "./debian.ts";
import { output, which } from "./exec.ts";
import { locked, unmountBelow } from "./leftovers.ts";
import { bin, local, paths, tools } from "./paths.ts";
import { knownPorts } from "./ports.ts";
import { inUserNamespace, namespaceEnvironment, sentences, whatRootlessLacks } from "./rootless.ts";
import { Failure, say } from "./say.ts";
import { timed } from "./timeline.ts";
import { obtainAll, rootlessDockerTools, rootlessTools, toolPath } from "./tools.ts";
import { goModuleVersion } from "./versions.ts";

/** Debian's packages, unpacked: nothing of them is installed. */
const folder = join(tools, "docker");
const packages = ["docker.io", "containerd", "tini"];
const programs = [join(folder, "usr/bin"), join(folder, "usr/sbin")];

const socket = join(paths.run, "docker.sock");
/** Docker's own; ours has another name. */
const pidFile = join(paths.run, "dockerd.pid");
// Debian's daemon is older than what Compose speaks unless told.
const client = { DOCKER_HOST: `unix://${socket}`, DOCKER_API_VERSION: "1.41" };
const execRoot = join(paths.run, "docker");
const path = () => [...programs, toolPath(), "/usr/sbin", "/sbin"].join(":");
const daemon: Daemon = {
  name: "docker",
  sign: `unix://${socket}`,
  answers: () => runs("docker", ["version"], { ...process.env, PATH: path(), ...client }),
};

const forwardScript = join(import.meta.dirname, "forward.ts");
/** The daemon itself is what RootlessKit watches over, so that neither outlives the other. */
const besideForwarding = '"$1" "$2" "$3" "$4" while-parent-lives & shift 4 && exec "$@"';
const registrySocket = join(paths.run, "registry.sock");
/** Lets the daemon of an ordinary user, which is in a network of its own, reach the local registry. */
const registryForNamespace: Daemon = {
  name: "docker-registry",
  sign: registrySocket,
  answers: () => accepts({ path: registrySocket }),
};

/** What reaches the Docker host of this machine: the user's, or else one of our own. */
export async function dockerEnvironment(env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  const composeVersion = goModuleVersion("compose", "github.com/docker/compose/v5");
  const compose =
    (await runs("docker", ["compose", "version"], env)) || (await runs("docker-compose", ["version"], env));
  if (!compose) {
    const define = { "github.com/docker/compose/v5/internal.Version": `v${composeVersion}` };
    const build = { tool: "compose", main: "github.com/docker/compose/v5/cmd", program: "docker-compose", define };
    await locked(async () => {
      await goBuild(build, bin);
    });
  }
  const version = await apiVersion(env);
  if (version !== undefined) {
    return { ...env, ...(isOld(version) && !env.DOCKER_API_VERSION && { DOCKER_API_VERSION: version }) };
  }
  await startDocker();
  return { ...env, PATH: [env.PATH, ...programs].join(":"), ...client };
}

/** Of the daemon that answers. */
function apiVersion(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const asked = ["version", "--format", "{{.Server.APIVersion}}"];
  return output("docker", asked, { env, timeout: 10_000 }).catch(() => undefined);
}

/** Whether a daemon is older than what Compose speaks unless told. */
function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major === 1 && minor < 44;
}

function runs(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  return output(program, args, { env, timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

/** Starts our own daemon where it does not run. It touches no firewall rule and no file outside our folder. */
async function startDocker(): Promise<void> {
  if (daemonPid(daemon) !== undefined) {
    return awaitDaemon(daemon);
  }
  const rootless = process.getuid?.() !== 0;
  if (process.platform !== "linux") {
    throw new Failure("No Docker daemon answers, and an own one needs Linux. Start Docker, or set DOCKER_HOST.");
  }
  const lack = rootless ? await whatRootlessLacks() : undefined;
  if (lack) {
    throw new Failure(
      `No Docker daemon answers (start Docker, or set DOCKER_HOST), and none can run here: ${sentences(lack)}`,
    );
  }
  await locked(async () => {
    await obtainDocker();
    await obtainAll(rootless ? [...rootlessTools, ...rootlessDockerTools] : []);
  });
  const options = {
    "--data-root": join(local, rootless ? "docker-rootless" : "docker"),
    // In a namespace, ids of processes and what goes by them end with it.
    "--exec-root": rootless ? "/run/docker" : execRoot,
    "--host": `unix://${socket}`,
    "--pidfile": rootless ? "/run/docker.pid" : pidFile,
    "--bridge": "none",
    "--iptables": "false",
    "--ip6tables": "false",
    "--ip-masq": "false",
  };
  const args = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const env = { ...process.env, PATH: path() };
  if (!rootless) {
    return startDaemon(daemon, { command: ["dockerd", ...args], env });
  }
  const registry = knownPorts()?.registry ?? 0;
  // One that a failed start has left may serve another port.
  await stopDaemon(registryForNamespace);
  await startDaemon(registryForNamespace, {
    command: [process.execPath, forwardScript, registrySocket, String(registry)],
    env,
  });
  const proxy = which("rootlesskit-docker-proxy", path());
  const dockerd = ["dockerd", "--rootless", `--userland-proxy-path=${proxy}`, ...args];
  await startDaemon(daemon, {
    command: inUserNamespace(
      [
        "sh",
        "-c",
        besideForwarding,
        "sh",
        process.execPath,
        forwardScript,
        String(registry),
        registrySocket,
        ...dockerd,
      ],
      join(paths.run, "rkd"),
      // The bridge between a container and its port takes a network of our own. It has no way out, and needs none.
      ["--net=none", "--port-driver=builtin", "--pidns"],
    ),
    env: { ...env, ...namespaceEnvironment() },
  });
}

/** Stops our own daemon, and the containers with it. */
export async function stopDocker(): Promise<void> {
  if (await stopDaemon(daemon)) {
    say("stopped docker");
  }
  // It leaves the namespace of its network mounted, and then nobody can remove the folder.
  await unmountBelow(execRoot);
  await stopDaemon(registryForNamespace);
}

async function obtainDocker(): Promise<void> {
  if (existsSync(folder)) {
    return;
  }
  if (!hasDebian()) {
    throw new Failure("No Docker daemon answers, and one can be fetched from Debian's packages only. Install Docker.");
  }
  await timed("getting a Docker daemon from Debian's packages", () => unpackDebian(packages, folder));
}
