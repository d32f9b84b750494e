import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildkitSettings } from "./buildkitSettings.ts";
import { Docker, ownLabel, proxies, whyNoDocker } from "./dockerClient.ts";
import { hasOfficial, obtainImage, officialImage } from "./dockerImage.ts";
import { runInDocker } from "./dockerRoot.ts";
import { type Ended, run, which } from "./exec.ts";
import { localBuilder, paths, tools } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { replaceText } from "./replaceText.ts";
import { Failure, say } from "./say.ts";
import { certificate } from "./tls.ts";
import { wantedVersion } from "./versions.ts";

// The builder of the local stacks in the user's Docker, for buildx one of its driver `docker-container`. It is made here and
// not by buildx, because not every Docker has buildx, and not every machine has all privileges that buildx asks for.

/** Each tools folder has a builder of its own. */
const id = createHash("sha256").update(tools).digest("hex").slice(0, 8);
const node = `${localBuilder}-${id}`;
/** The name by which buildx finds it. */
export const container = `buildx_buildkit_${node}`;
const volume = `${container}_state`;
/** What the container is called until it is complete: whoever is killed meanwhile, nobody starts half of one. */
const unfinished = `${container}-new`;
/** The container in which the base image is made, and what its image is called. */
const helper = `${node}-base`;
const ownImage = `${localBuilder}/buildkit-${id}`;

/** A label with a digest of what a container was made with. */
const settingsLabel = "facecraft.settings";

/** Which Docker has the builder: later commands ask the same one, whatever their environment says. */
const record = join(paths.run, "docker-builder.json");

/** Paths in the container. */
const inside = {
  settings: "/etc/buildkit/buildkitd.toml",
  registryCa: "/etc/buildkit/registry-ca.pem",
  trusted: "/etc/ssl/certs/ca-certificates.crt",
};

function written(): Docker | undefined {
  return existsSync(record) ? new Docker(JSON.parse(readFileSync(record, "utf8")).docker) : undefined;
}

/** The Docker that has the builder; where it has none, or does not answer any more, the user's, which will have it. */
export async function theDocker(): Promise<Docker> {
  const [before, now] = [written(), await Docker.users()];
  const same = before === undefined || before.address === now.address;
  return same || (await before.fault()) !== undefined ? now : before;
}

/** Why there can be no builder in Docker, as a clause; undefined where nothing speaks against it. */
export async function whyNoDockerBuilder(): Promise<string | undefined> {
  return which("docker") === undefined ? whyNoDocker() : whyNoDocker(await theDocker());
}

/** Whether Docker has the builder, running or not; a Docker that does not answer has none. */
export async function isInDocker(): Promise<boolean> {
  const docker = written();
  return docker !== undefined && (await docker.run("container", "inspect", container)).code === 0;
}

/** What reaches the builder: BUILDKIT_HOST for buildctl, DOCKER_HOST for the `docker` that buildctl runs for it. */
export function dockerBuilderEnvironment(): { BUILDKIT_HOST: string; DOCKER_HOST?: string } {
  const docker = written();
  return { BUILDKIT_HOST: `docker-container://${container}`, ...(docker && { DOCKER_HOST: docker.address }) };
}

/** Runs a program of this machine as root, in a container of that Docker. */
export async function asRootInDocker(command: readonly string[], folders: readonly string[]): Promise<void> {
  await runInDocker(await theDocker(), helper, command, folders);
}

/** Whether the builder's image is still to be made here, of our own programs. */
export async function makesImage(): Promise<boolean> {
  const docker = await theDocker();
  return (await inspect(docker)) === undefined && !(await hasOfficial(docker));
}

/**
 * Sees to it that the builder runs, that it reaches the local registry, and that buildx knows it.
 *
 * @throws Failure where it does not
 */
export async function startDockerBuilder(ports: Ports): Promise<void> {
  const docker = await theDocker();
  await replaceText(record, `${JSON.stringify({ docker: docker.address })}\n`);
  const settings = await settingsFor(ports);
  const digest = digestOf(settings);
  let found = await inspect(docker);
  if (found !== undefined && found.digest !== digest && !found.running) {
    await docker.call("container", "rm", container);
    found = undefined;
  }
  if (found === undefined) {
    const image = await obtainImage(docker, ownImage);
    say(`making a builder in the Docker at ${docker.address}: ${container}`);
    await createAndStart(docker, image, settings);
  } else if (!found.running) {
    await docker.call("container", "start", container);
  } else if (found.digest !== digest) {
    // It may be building for another clone.
    say(
      "the running builder is an earlier one, or has earlier settings; `make down` and `make up` make the present one",
    );
  }
  if (!found?.running) {
    await awaitBuildKit(docker);
    await reachRegistry(docker, ports.registry);
  }
  await register(docker, settings);
}

interface Found {
  running: boolean;
  /** Of what it was made with. */
  digest: string;
  image: string;
}

async function inspect(docker: Docker): Promise<Found | undefined> {
  const format = `{{.State.Running}} {{.Config.Image}} {{index .Config.Labels "${settingsLabel}"}}`;
  const { code, stdout, text } = await docker.run("container", "inspect", "--format", format, container);
  if (code !== 0 && !/no such container/i.test(text)) {
    throw new Failure(`The Docker at ${docker.address} does not say whether it has ${container}: ${text.trim()}`);
  }
  const [running, image = "", digest = ""] = stdout.split(" ");
  return code === 0 ? { running: running === "true", image, digest } : undefined;
}

/** What is put into the container, by its path there. */
interface Settings {
  files: Record<string, string>;
  environment: string[];
}

async function settingsFor(ports: Ports): Promise<Settings> {
  const { ca } = await certificate();
  // In parts of Docker's disk, which may be that of a virtual machine.
  const worker = ['reservedSpace = "10%"', 'minFreeSpace = "15%"'];
  return {
    files: {
      [inside.settings]: buildkitSettings(ports, { place: [], cdi: [], worker, ca: inside.registryCa }),
      [inside.registryCa]: await readFile(ca, "utf8"),
      [inside.trusted]: await readFile(paths.trustedCas, "utf8"),
    },
    environment: proxies(),
  };
}

function digestOf(settings: Settings): string {
  const parts = JSON.stringify([settings, wantedVersion("buildkit")]);
  return createHash("sha256").update(parts).digest("hex").slice(0, 16);
}

/** What BuildKit needs, by name. */
const narrow = [
  ...["--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN"],
  ...["seccomp", "apparmor", "systempaths"].map((name) => `--security-opt=${name}=unconfined`),
  // Build steps get control groups of their own.
  ...["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup"],
];

/** Starts it with all privileges, as buildx would; where the machine has not all there are, with those that it needs. */
async function createAndStart(docker: Docker, image: string, settings: Settings): Promise<void> {
  let rights = ["--privileged"];
  let init = ["--init"];
  for (;;) {
    await create(docker, image, settings, [...rights, ...init]);
    const { code, text } = await docker.run("container", "start", container);
    if (code === 0) {
      return;
    }
    await docker.call("container", "rm", "--force", container);
    if (/unable to apply caps/.test(text) && rights !== narrow) {
      rights = narrow;
    } else if (/docker-init/.test(text) && init.length > 0) {
      init = []; // Debian has it in a package of its own
    } else {
      throw new Failure(`The Docker at ${docker.address} cannot start the builder: ${text.trim()}`);
    }
  }
}

async function create(docker: Docker, image: string, settings: Settings, options: string[]): Promise<void> {
  const label = ["--label", ownLabel];
  await docker.run("container", "rm", "--force", unfinished);
  await docker.call("volume", "create", ...label, volume);
  await docker.call(
    ...["container", "create", "--name", unfinished, ...label, "--label", `${settingsLabel}=${digestOf(settings)}`],
    ...["--network=host", `--mount=type=volume,src=${volume},dst=/var/lib/buildkit`, ...options],
    ...settings.environment.flatMap((variable) => ["--env", variable]),
    ...[image, "--config", inside.settings],
  );
  const work = await mkdtemp(join(tools, "image-"));
  try {
    for (const [path, text] of Object.entries(settings.files)) {
      await writeFile(join(work, "file"), text);
      await docker.call("cp", join(work, "file"), `${unfinished}:${path}`);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await docker.call("container", "rename", unfinished, container);
}

/** Tells buildx of it. Should the container get lost, buildx makes it anew from this. */
async function register(docker: Docker, settings: Settings): Promise<void> {
  const image = (await inspect(docker))?.image ?? officialImage();
  const folder = "/etc/buildkit/";
  const files = Object.entries(settings.files)
    .filter(([path]) => path.startsWith(folder))
    .map(([path, text]) => [path.slice(folder.length), Buffer.from(text).toString("base64")]);
  const only = {
    Name: node,
    Endpoint: docker.address,
    DriverOpts: { image, network: "host", "restart-policy": "no" },
    Files: Object.fromEntries(files),
  };
  const instance = { Name: localBuilder, Driver: "docker-container", Nodes: [only] };
  await replaceText(join(paths.buildx, "instances", localBuilder), JSON.stringify(instance));
}

async function awaitBuildKit(docker: Docker): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    const { code, text } = await buildctl(docker, "debug", "workers");
    if (code === 0) {
      return;
    }
    if (performance.now() > until) {
      const log = await docker.run("logs", "--tail=5", container);
      throw new Failure(`The builder in Docker does not answer: ${text.trim()}\nThe end of its log:\n${log.text}`);
    }
    await sleep(200);
  }
}

function buildctl(docker: Docker, ...args: string[]): Promise<Ended> {
  return run("buildctl", args, { env: { ...docker.env, ...dockerBuilderEnvironment() } });
}

/**
 * Asks, from the builder, the local registry for an image that it does not have.
 *
 * @throws Failure where it does not say so
 */
export async function reachRegistry(docker: Docker, port: number): Promise<void> {
  const work = await mkdtemp(join(tools, "image-"));
  try {
    const image = `localhost:${port}/facecraft-probe:none`;
    await writeFile(join(work, "Dockerfile"), `FROM ${image}\n`);
    const folders = ["context", "dockerfile"].flatMap((name) => ["--local", `${name}=${work}`]);
    const { text } = await buildctl(docker, "build", "--progress=plain", "--frontend=dockerfile.v0", ...folders);
    if (!text.includes(`${image}: not found`)) {
      throw new Failure(
        `The builder in Docker does not reach the local registry at localhost:${port}. Its container is on the network of ` +
          "the host; Docker Desktop does that only where its settings (Resources, Network) enable host networking. " +
          `The builder says: ${text.trim().split("\n").at(-1)}`,
      );
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Removes from Docker what was made there for the builder, its cache included. */
export async function removeDockerBuilder(): Promise<void> {
  const docker = written();
  if (docker === undefined) {
    return;
  }
  const fault = await whyNoDocker(docker);
  if (fault !== undefined) {
    say(`the builder ${container} stays, because ${fault}; \`make down\` removes it when that Docker answers again`);
    return;
  }
  const found = await inspect(docker);
  for (const name of [container, unfinished, helper]) {
    await docker.run("container", "rm", "--force", name);
  }
  const { code, text } = await docker.run("volume", "rm", volume);
  if (code !== 0 && !/no such volume/i.test(text)) {
    throw new Failure(`The builder's cache cannot be removed from Docker: ${text.trim()}`);
  }
  const images = (await docker.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", ownImage)).split("\n");
  for (const image of images.filter(Boolean)) {
    await docker.call("image", "rm", image);
  }
  await rm(record);
  if (found !== undefined) {
    const stays = found.image === officialImage() ? `; the image ${found.image} stays in Docker` : "";
    say(`removed the builder ${container} from Docker, and its cache${stays}`);
  }
}

/** What `make doctor` says of it: its name, whether it runs, and where it is. */
export async function describeDockerBuilder(): Promise<[string, string, string]> {
  const fault = await whyNoDockerBuilder();
  if (fault !== undefined) {
    return [localBuilder, fault, `container ${container}`];
  }
  const docker = await theDocker();
  const found = await inspect(docker);
  const state = found === undefined ? "not there" : found.running ? "running" : "stopped";
  return [localBuilder, state, `container ${container} of the Docker at ${docker.address}`];
}

/** What `make doctor` says of how much its cache takes: a row, or none where there is no cache. */
export async function describeDockerCache(): Promise<[what: string, size: string, where: string][]> {
  if ((await whyNoDockerBuilder()) !== undefined) {
    return [];
  }
  const { stdout } = await (await theDocker()).run("system", "df", "--verbose", "--format", "{{json .Volumes}}");
  const volumes: unknown = JSON.parse(stdout || "[]");
  const own = Array.isArray(volumes) ? volumes.find(({ Name }) => Name === volume) : undefined;
  return own ? [["the builder's cache", own.Size, `volume ${volume} of Docker`]] : [];
}
