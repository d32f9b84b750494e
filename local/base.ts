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
import { hasManifest, keepTagged, seed } from "./registryFiles.ts";
import { replaceText } from "./replaceText.ts";
import { inUserNamespace, removeTree } from "./rootless.ts";
import { Failure, say } from "./say.ts";
import type { Wanted } from "./sharedCache.ts";
import { timed } from "./timeline.ts";
import { thisPlatform } from "./toolLock.ts";
import { toolPath } from "./tools.ts";

const rootfs = join(local, "base", "rootfs.tar");
const chosen = join(local, "base", "chosen.json");
const repository = "base/debian";
const tag = "bookworm";
const packages = ["python3", "python3-pip", "python3-venv", "ca-certificates", "curl"];
const dockerfile = 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n';

/** What a clone has kept of it. */
const wanted: Wanted = { kind: "base", recipe: { packages, tag, dockerfile, platform: thisPlatform } };
/** What of that was put into the registry by this process, which has not decided on the bases yet. */
let seeded: string | undefined;

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
  seeded = await seed(wanted, { repository, tag });
  if (seeded !== undefined) {
    say("the Debian base image: taken from the cache, where a clone has kept it");
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
  const name = `localhost:${ports.registry}/${repository}:${tag}`;
  const digest = existsSync(rootfs) ? await pushRootfs(name) : seeded;
  const debian = digest && `${name}@${digest}`;
  const images = Object.fromEntries(args.map(([arg, real]) => [arg, debian ?? real]));
  await replaceText(chosen, `${JSON.stringify(images, undefined, 2)}\n`);
  await rm(rootfs, { force: true });
  await keepBase();
}

/** Keeps what was published for the next clone, unless that has been done. */
export async function keepBase(): Promise<void> {
  await keepTagged(wanted, { repository, tag });
}

/** Whether the local registry has what it is to have of the bases: its folder may have been emptied since. */
async function isPublished(): Promise<boolean> {
  const digests = Object.values(await baseImages()).flatMap((name) =>
    name.includes(`/${repository}:`) ? [name.slice(name.indexOf("@") + 1)] : [],
  );
  return digests.every((digest) => hasManifest(repository, digest));
}

/** @returns the digest of the image that it pushes */
async function pushRootfs(name: string): Promise<string> {
  const work = await mkdtemp(join(tools, "base-"));
  try {
    await writeFile(join(work, "Dockerfile"), dockerfile);
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
    return JSON.parse(readFileSync(metadata, "utf8"))["containerimage.digest"];
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
