import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { variantNames, variants } from "../plan/variants.ts";
import { reachable } from "./acquire.ts";
import { type BuilderKind, builderEnvironment } from "./builder.ts";
import { hasDebian, unpackDebian } from "./debian.ts";
import { asRootInDocker } from "./dockerBuilder.ts";
import { output, which } from "./exec.ts";
import { local, root, tools } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { inUserNamespace, removeTree } from "./rootless.ts";
import { Failure, timed } from "./say.ts";
import { toolPath } from "./tools.ts";

const rootfs = join(local, "base", "rootfs.tar");
const chosen = join(local, "base", "chosen.json");
const repository = "base/debian";
/** Where the registry, by its documented layout, keeps which manifests the repository has. */
const manifests = join(local, "registry/docker/registry/v2/repositories", repository, "_manifests/revisions");
const packages = ["python3", "python3-pip", "python3-venv", "ca-certificates", "curl"];

/**
 * What every base image is on this machine, by the name of its ARG. Decided once: the images that the Dockerfiles name
 * where Docker Hub answers, else a Debian file system from Debian's own packages for all of them.
 */
export async function baseImages(): Promise<Record<string, string>> {
  if (existsSync(chosen)) {
    return JSON.parse(readFileSync(chosen, "utf8"));
  }
  throw new Failure("The base images of the local stacks are not there yet; run `make up`.");
}

/** Makes the Debian file system where it will be needed; it takes a minute and needs no service. */
export async function prepareBase(builder: BuilderKind): Promise<void> {
  if (existsSync(chosen) || existsSync(rootfs) || (await reachable("https://registry-1.docker.io/v2/"))) {
    return;
  }
  await mkdir(join(local, "base"), { recursive: true });
  await timed("making a Debian base image, because Docker Hub cannot be reached", async () => {
    const work = await mkdtemp(join(tools, "base-"));
    try {
      const mmdebstrap = await findMmdebstrap(work);
      const options = [
        // Root of a user namespace is root to it.
        ...["--mode=root", "--variant=minbase", `--include=${packages.join(",")}`],
        // A build gets a /dev of its own, and who is not root cannot unpack devices.
        ...["--skip=output/dev", "--format=tar", "--quiet", "bookworm", `${rootfs}.new`],
      ];
      if (builder === "docker") {
        // Apt's own user may not be allowed into the user's folder, where Debian's keys are.
        const sandbox = "--aptopt=APT::Sandbox::User root";
        await asRootInDocker([...mmdebstrap, sandbox, ...options], [work, dirname(rootfs)]);
      } else {
        // A small /tmp would not hold it.
        const command = ["env", `TMPDIR=${work}`, ...mmdebstrap, ...options];
        const [program = "", ...args] = builder === "rootless" ? inUserNamespace(command) : command;
        // An ordinary user's PATH may be without chroot.
        await output(program, args, { env: { ...process.env, PATH: `${toolPath()}:/usr/sbin:/sbin` } });
      }
      await rename(`${rootfs}.new`, rootfs);
    } finally {
      await removeTree(work);
    }
  });
}

async function findMmdebstrap(work: string): Promise<[string, ...string[]]> {
  if (which("mmdebstrap")) {
    return ["mmdebstrap"];
  }
  if (!hasDebian()) {
    throw new Failure(
      "Docker Hub cannot be reached, and a base image can be made from Debian's packages only. " +
        "Install mmdebstrap and run this again.",
    );
  }
  const folder = join(work, "mmdebstrap");
  await unpackDebian(["mmdebstrap", "debian-archive-keyring"], folder);
  return [join(folder, "usr/bin/mmdebstrap"), `--keyring=${join(folder, "usr/share/keyrings")}`];
}

/** Decides on the bases, and publishes the Debian file system to the local registry where that is the choice. */
export async function publishBase(ports: Ports, builder: BuilderKind): Promise<void> {
  if (existsSync(chosen)) {
    if (await isPublished()) {
      return;
    }
    await rm(chosen);
    await prepareBase(builder);
  }
  const { readDockerfile } = await import("../plan/dockerfile.ts");
  const args = variantNames.flatMap((name) => {
    const { args } = readDockerfile(join(root, variants[name].dockerfile));
    return Object.values(variants[name].bases).map((arg): [string, string] => [arg, args.get(arg) ?? ""]);
  });
  const debian = existsSync(rootfs)
    ? await pushRootfs(`localhost:${ports.registry}/${repository}:bookworm`)
    : undefined;
  const images = Object.fromEntries(args.map(([arg, real]) => [arg, debian ?? real]));
  await mkdir(join(local, "base"), { recursive: true });
  await writeFile(`${chosen}.new`, `${JSON.stringify(images, undefined, 2)}\n`);
  await rename(`${chosen}.new`, chosen);
  await rm(rootfs, { force: true });
}

/** Whether the local registry has what it is to have of the bases: its folder may have been emptied since. */
async function isPublished(): Promise<boolean> {
  const digests = Object.values(await baseImages()).flatMap((name) =>
    name.includes(`/${repository}:`) ? [name.slice(name.indexOf("@") + 1)] : [],
  );
  return digests.every((digest) => existsSync(join(manifests, digest.replace(":", "/"), "link")));
}

async function pushRootfs(name: string): Promise<string> {
  const work = await mkdtemp(join(tools, "base-"));
  try {
    await writeFile(join(work, "Dockerfile"), 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n');
    const metadata = join(work, "metadata.json");
    await timed("publishing the base image to the local registry", () =>
      output(
        "buildctl",
        [
          ...["build", "--frontend", "dockerfile.v0"],
          ...["--local", `context=${join(local, "base")}`, "--local", `dockerfile=${work}`],
          ...["--output", `type=image,name=${name},push=true,oci-mediatypes=true`, "--metadata-file", metadata],
        ],
        { env: { ...process.env, PATH: toolPath(), ...builderEnvironment() } },
      ),
    );
    const { "containerimage.digest": digest } = JSON.parse(readFileSync(metadata, "utf8"));
    return `${name}@${digest}`;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
