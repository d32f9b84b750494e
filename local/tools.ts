import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs";
import { cp, link, mkdir, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { announceBuilds, type GoBuild, goBuild, installScript, isBuilt, keepBuilt, unpack } from "./acquire.ts";
import { hasDebian, unpackDebian } from "./debian.ts";
import { isExecutable, which } from "./exec.ts";
import { bin, libexec, pulumiHome, tools, userHome } from "./paths.ts";
import { provenOrigin } from "./proof.ts";
import { Failure } from "./say.ts";
import { find as findKept, keep, take, type Wanted } from "./sharedCache.ts";
import { timed } from "./timeline.ts";
import { pinnedOnly, thisPlatform, unpinned } from "./toolLock.ts";
import { packageVersion, wantedVersion } from "./versions.ts";

/**
 * Where a tool comes from, and so what vouches for it: the user; the archive that the user gave; a sum in
 * local/tools/lock.json; the list of its publisher; go.sum, from which it was built; Debian's signature; this repository.
 */
export type Origin = "yours" | "archive" | "pinned" | "publisher's list" | "go.sum" | "Debian package" | "stand-in";

export interface Tool {
  name: string;
  version: string;
  /** What it is here for. */
  use: string;
  /** Where it is, if it is. */
  find(): { path: string; origin: Origin } | undefined;
  /** Gets it where it is not there: from its download site if that answers, else in another way. */
  obtain(): Promise<void>;
  /** Keeps it for other clones and users, where it was built here. */
  keep?(): Promise<void>;
  /** How it is built where it cannot be downloaded. */
  build?: GoBuild;
}

const versions = {
  pulumi: wantedVersion("pulumi"),
  buildkit: wantedVersion("buildkit"),
  registry: wantedVersion("registry"),
  cosign: wantedVersion("cosign"),
  rootlesskit: wantedVersion("rootlesskit"),
};

/**
 * Real plugins for a machine that reaches no download site: a tar file laid out to be extracted into a PULUMI_HOME.
 * Such a home is a folder of its own, so that both kinds can be tested on one machine.
 */
const archive = process.env.FACECRAFT_PULUMI_ARCHIVE;
export const home = archive ? `${pulumiHome}-archive` : pulumiHome;
const debianRunc = join(tools, "downloads", "debian-runc");
const hosts = join(home, "versions", versions.pulumi, "bin");
const buildkit = join(tools, "downloads", `buildkit-${versions.buildkit}`);
const registry = join(tools, "downloads", `registry-${versions.registry}`);
const cosign = join(tools, "downloads", `cosign-${versions.cosign}`);
const rootlesskit = join(tools, "downloads", `rootlesskit-${versions.rootlesskit}`);

/** What the programs of this project run with: our own tools behind the user's. */
export function toolPath(): string {
  return [process.env.PATH, bin, hosts].filter(Boolean).join(":");
}

type Found = { path: string; origin: Origin };

/** A file of which we know how it came to be what it is. */
function known(path: string, origin: Origin | undefined): Found | undefined {
  return origin !== undefined && existsSync(path) ? { path, origin } : undefined;
}

/** A download that several programs come out of: its name in the lock, and its folder. */
interface Download {
  tool: string;
  folder: string;
  program: string;
}

function program(name: string, use: string, build: GoBuild, { tool, folder, program }: Download): Tool {
  const downloaded = join(folder, program);
  const linked = join(bin, name);
  return {
    name,
    version: wantedVersion(tool),
    use,
    build,
    find() {
      const users = which(name);
      return (
        (users ? { path: users, origin: "yours" as const } : undefined) ??
        known(downloaded, provenOrigin(tool, folder)) ??
        (isBuilt(build, bin) ? { path: linked, origin: "go.sum" } : undefined)
      );
    },
    async obtain() {
      if (provenOrigin(tool, folder) !== undefined || (await downloadTool(tool, { folder, program }))) {
        await linkTo(downloaded, linked);
      } else {
        await goBuild(build, bin);
      }
    },
    async keep() {
      if (isBuilt(build, bin)) {
        await keepBuilt(build, bin);
      }
    },
  };
}

/** Loads the download engine only where there is something to download. */
const downloadTool: typeof import("./downloadTool.ts").downloadTool = async (...what) =>
  (await import("./downloadTool.ts")).downloadTool(...what);

/** Puts a symbolic link in place, whatever was there. */
async function linkTo(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.new-${process.pid}`;
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  await rename(fresh, path);
}

const pulumiBuild: GoBuild = {
  tool: "pulumi",
  main: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
  program: "pulumi",
  define: { "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": `v${versions.pulumi}` },
};

/** The CLI stands beside its hosts: what it finds elsewhere on the PATH it warns about, at every start. */
const pulumi: Tool = {
  name: "pulumi",
  version: versions.pulumi,
  use: "the engine",
  build: pulumiBuild,
  find() {
    const users = which("pulumi");
    return users ? { path: users, origin: "yours" } : known(join(hosts, "pulumi"), cliOrigin());
  },
  async obtain() {
    if (!archive && (await downloadTool("pulumi", { folder: hosts, program: "pulumi", stripComponents: 1 }))) {
      return;
    }
    await goBuild(pulumiBuild, libexec);
    if (archive) {
      await unpackArchive(archive);
    }
    await mkdir(hosts, { recursive: true });
    await rm(join(hosts, "pulumi"), { force: true });
    // A link, not a symbolic one: the CLI looks beside the file that it really is.
    await link(join(libexec, "pulumi"), join(hosts, "pulumi"));
  },
  keep: () => keepLibexec(pulumiBuild),
};

async function keepLibexec(build: GoBuild): Promise<void> {
  if (isExecutable(join(libexec, build.program))) {
    await keepBuilt(build, libexec);
  }
}

function cliOrigin(): Origin | undefined {
  const [ours, built] = [join(hosts, "pulumi"), join(libexec, "pulumi")].map((path) =>
    statSync(path, { throwIfNoEntry: false }),
  );
  return ours !== undefined && ours.ino === built?.ino ? "go.sum" : provenOrigin("pulumi", hosts);
}

/** Programs that come with the official Pulumi CLI, but not from Go modules. */
function pulumiHost(name: string, use: string, standIn: string): Tool {
  const path = join(hosts, name);
  return {
    name,
    version: versions.pulumi,
    use,
    find() {
      const users = archive ? undefined : which(name);
      return users ? { path: users, origin: "yours" } : known(path, originOf(path, "pulumi", standIn));
    },
    async obtain() {
      if (archive) {
        return unpackArchive(archive);
      }
      await installScript(path, standInScript(standIn));
    },
  };
}

function plugin(name: string, standIn: string | GoBuild): Tool {
  const version = packageVersion(`@pulumi/${name}`);
  const folder = join("plugins", `resource-${name}-v${version}`);
  const file = `pulumi-resource-${name}`;
  const path = join(home, folder, file);
  return {
    name: file,
    version,
    use: `the provider of @pulumi/${name}`,
    find: () => known(path, originOf(path, file, standIn)),
    async obtain() {
      const users = join(process.env.PULUMI_HOME ?? join(userHome ?? "/", ".pulumi"), folder);
      if (isExecutable(join(users, file)) && users !== join(home, folder)) {
        return linkPlugin(users, join(home, folder));
      }
      if (archive) {
        await unpackArchive(archive);
      } else {
        await downloadTool(file, { folder: join(home, folder), program: file });
      }
      if (originOf(path, file, standIn) !== undefined) {
        return;
      }
      if (typeof standIn === "string") {
        return installScript(path, standInScript(standIn));
      }
      // One build serves every home.
      await goBuild(standIn, libexec);
      await linkTo(join(libexec, file), path);
    },
    ...(typeof standIn !== "string" && { build: standIn, keep: () => keepLibexec(standIn) }),
  };
}

/** Pulumi looks for plugins in folders only, and one that is a link is none to it. */
async function linkPlugin(users: string, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const name of readdirSync(users)) {
    await linkTo(join(users, name), join(folder, name));
  }
}

let unpacked: Promise<void> | undefined;

function unpackArchive(from: string): Promise<void> {
  unpacked ??= (async () => {
    const folder = join(tools, "downloads", "pulumi-archive");
    if (!existsSync(folder)) {
      await unpack(from, folder);
    }
    await mkdir(home, { recursive: true });
    await cp(folder, home, { recursive: true, force: false });
  })();
  return unpacked;
}

/** A stand-in is recognized by its first comment. */
const standInMark = "# A stand-in of this project";

/** Puts a stand-in for the plugin of an SDK into a Pulumi home. */
export async function installStandIn(name: "command" | "random", into: string): Promise<void> {
  const folder = `resource-${name}-v${packageVersion(`@pulumi/${name}`)}`;
  await installScript(join(into, "plugins", folder, `pulumi-resource-${name}`), standInScript(`${name}.ts`));
}

// Clones may share the tools, so the script finds its code in the clone that runs it.
function standInScript(name: string): string {
  return `#!/bin/sh\n${standInMark}.\nexec node "$FACECRAFT_ROOT/local/standins/plugins/${name}" "$@"\n`;
}

/** What vouches for a plugin or a host; undefined for one that must be had again, be it unproven or out of date. */
function originOf(path: string, tool: string, standIn: string | GoBuild): Origin | undefined {
  const folder = dirname(path);
  if (!isExecutable(path)) {
    return undefined;
  }
  if (lstatSync(folder).isSymbolicLink()) {
    return undefined; // as an earlier version of this project had it
  }
  if (lstatSync(path).isSymbolicLink()) {
    const [program, ours] = [realpathSync(path), realpathSync(tools)];
    if (!program.startsWith(`${ours}/`)) {
      return "yours";
    }
    return program === join(ours, relative(tools, libexec), basename(path)) ? "go.sum" : undefined;
  }
  if (startOf(path).includes(standInMark)) {
    // One that another version of the project wrote names files that moved.
    const current = typeof standIn === "string" && readFileSync(path, "utf8") === standInScript(standIn);
    return current ? "stand-in" : undefined;
  }
  return archive ? "archive" : provenOrigin(tool, folder);
}

/** The first bytes of a file: plugins are programs of a hundred megabytes. */
function startOf(path: string): Buffer {
  const start = Buffer.alloc(80);
  const file = openSync(path, "r");
  try {
    return start.subarray(0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}

export const pulumiTools: Tool[] = [
  pulumi,
  pulumiHost("pulumi-language-nodejs", "runs the program", "language-host.ts"),
  pulumiHost("pulumi-resource-pulumi-nodejs", "runs ModelChecksum", "dynamic-provider.ts"),
  plugin("docker-build", {
    tool: "docker-build",
    main: "github.com/pulumi/pulumi-docker-build/provider/cmd/pulumi-resource-docker-build",
    program: "pulumi-resource-docker-build",
    define: { "github.com/pulumi/pulumi-docker-build/provider.Version": packageVersion("@pulumi/docker-build") },
  }),
  plugin("command", "command.ts"),
  plugin("random", "random.ts"),
];

const runcPath = join(bin, "runc");

/** Not from Go modules: BuildKit wants a runc with seccomp, and that takes the headers of a C library. */
const runc: Tool = {
  name: "runc",
  version: "",
  use: "runs build steps",
  find() {
    const users = which("runc");
    if (users) {
      return { path: users, origin: "yours" };
    }
    const real = existsSync(runcPath) ? realpathSync(runcPath) : "";
    const inside = (folder: string) => existsSync(folder) && real.startsWith(realpathSync(folder));
    const origin = inside(buildkit) ? provenOrigin("buildkit", buildkit) : undefined;
    return known(runcPath, origin ?? (inside(debianRunc) && !pinnedOnly() ? "Debian package" : undefined));
  },
  async obtain() {
    const downloaded = "bin/buildkit-runc";
    if (
      provenOrigin("buildkit", buildkit) !== undefined ||
      (await downloadTool("buildkit", { folder: buildkit, program: downloaded }))
    ) {
      return linkTo(join(buildkit, downloaded), runcPath);
    }
    if (!hasDebian()) {
      throw new Failure(
        "runc is not installed, and neither a download nor a Debian package is to be had. Install runc.",
      );
    }
    const program = join(debianRunc, "usr/sbin/runc");
    if (!existsSync(program)) {
      await rm(debianRunc, { recursive: true, force: true });
      if ((await take(wantedRunc(), () => program)) === undefined) {
        await timed("getting runc from Debian's packages", () => unpackDebian(["runc"], debianRunc));
        await keep(wantedRunc(), { runc: program });
      }
    }
    await linkTo(program, runcPath);
  },
  async keep() {
    const program = join(debianRunc, "usr/sbin/runc");
    if (existsSync(program) && findKept(wantedRunc()) === undefined) {
      await keep(wantedRunc(), { runc: program });
    }
  },
};

/** As a clone has kept it. It is linked with libraries of the system. */
function wantedRunc(): Wanted {
  return { kind: "debian-runc", recipe: { platform: thisPlatform, system: readFileSync("/etc/os-release", "utf8") } };
}

export const serviceTools: Tool[] = [
  program(
    "buildkitd",
    "the builder",
    {
      tool: "buildkit",
      main: "github.com/moby/buildkit/cmd/buildkitd",
      program: "buildkitd",
      // Its own Dockerfile frontend then takes `RUN --device`, which is how an image is proven on a GPU.
      tags: ["dfrundevice"],
    },
    { tool: "buildkit", folder: buildkit, program: "bin/buildkitd" },
  ),
  program(
    "buildctl",
    "asks the builder how it is",
    { tool: "buildkit", main: "github.com/moby/buildkit/cmd/buildctl", program: "buildctl" },
    { tool: "buildkit", folder: buildkit, program: "bin/buildctl" },
  ),
  runc,
  program(
    "registry",
    "the registry",
    { tool: "registry", main: "facecraft/tools/registry", program: "registry" },
    { tool: "registry", folder: registry, program: "registry" },
  ),
];

function rootlesskitProgram(name: string, use: string): Tool {
  const main = `github.com/rootless-containers/rootlesskit/v2/cmd/${name}`;
  return program(
    name,
    use,
    { tool: "rootlesskit", main, program: name },
    { tool: "rootlesskit", folder: rootlesskit, program: name },
  );
}

/** For ordinary users: what makes one root of a user namespace. */
export const rootlessTools = [rootlesskitProgram("rootlesskit", "lets an ordinary user build")];

/** For ordinary users who run an image: what lets one in whom a container of theirs serves. */
export const rootlessDockerTools = [
  rootlesskitProgram("rootlesskit-docker-proxy", "publishes a container's port for an ordinary user"),
];

/** For those who sign or verify releases, and for nobody else. */
export const signingTools: Tool[] = [
  program(
    "cosign",
    "signs releases, and verifies them",
    {
      tool: "cosign",
      main: "github.com/sigstore/cosign/v3/cmd/cosign",
      program: "cosign",
      define: { "sigs.k8s.io/release-utils/version.gitVersion": `v${versions.cosign}` },
    },
    { tool: "cosign", folder: cosign, program: "cosign" },
  ),
];

/** Says that these will be asked for. */
export function announce(wanted: readonly Tool[]): void {
  announceBuilds(wanted.filter((tool) => tool.find() === undefined).flatMap(({ build }) => build ?? []));
}

/**
 * Gets what is missing, one after the other: a Go build takes all cores.
 *
 * @throws Failure for a tool that nothing vouches for as it must
 */
export async function obtainAll(wanted: readonly Tool[]): Promise<void> {
  for (const tool of wanted.filter((tool) => tool.find() === undefined)) {
    await tool.obtain();
    if (tool.find() === undefined) {
      throw pinnedOnly()
        ? unpinned(tool.name, "no pin in this repository covers what can be had of it")
        : new Failure(`${tool.name} ${tool.version} (${tool.use}) could not be installed; \`make doctor\` says more.`);
    }
  }
}
