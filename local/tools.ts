import { existsSync, lstatSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { cp, link, mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { downloadTar, type GoBuild, goBuild, installScript, reachable, unpack } from "./acquire.ts";
import { hasDebian, unpackDebian } from "./debian.ts";
import { isExecutable, output, which } from "./exec.ts";
import { bin, libexec, pulumiHome, tools } from "./paths.ts";
import { Failure, timed } from "./say.ts";
import { goModuleVersion, packageVersion } from "./versions.ts";

/** Where a tool comes from, in the order in which that is tried. */
export type Origin = "yours" | "archive" | "download" | "built from Go modules" | "Debian package" | "stand-in";

export interface Tool {
  name: string;
  version: string;
  /** What it is here for. */
  use: string;
  /** Where it is, if it is. */
  find(): { path: string; origin: Origin } | undefined;
  /** Gets it where it is not there: from its download site if that answers, else in another way. */
  obtain(): Promise<void>;
}

const os = process.platform === "darwin" ? "darwin" : "linux";
const arch = process.arch === "arm64" ? "arm64" : "amd64";

const versions = {
  pulumi: packageVersion("@pulumi/pulumi"),
  buildkit: goModuleVersion("buildkit", "github.com/moby/buildkit"),
  registry: goModuleVersion("registry", "github.com/distribution/distribution/v3"),
};

/**
 * Real plugins for a machine that reaches no download site: a tar file laid out to be extracted into a PULUMI_HOME.
 * Such a home is a folder of its own, so that both kinds can be tested on one machine.
 */
const archive = process.env.FACECRAFT_PULUMI_ARCHIVE;
export const home = archive ? `${pulumiHome}-archive` : pulumiHome;
const debianRunc = join(tools, "downloads", "debian-runc");
const hosts = join(home, "versions", versions.pulumi, "bin");

/** What the programs of this project run with: our own tools behind the user's. */
export function toolPath(): string {
  return [process.env.PATH, bin, join(tools, "downloads", `pulumi-${versions.pulumi}`), hosts]
    .filter(Boolean)
    .join(":");
}

/** Once a tool has been downloaded or built, how is remembered beside it. */
function recorded(path: string, origin: Origin): { path: string; origin: Origin } | undefined {
  return existsSync(path) ? { path, origin } : undefined;
}

function program(name: string, version: string, use: string, build: GoBuild, download?: Download): Tool {
  const downloaded = download && join(tools, "downloads", `${name}-${version}`, download.program);
  return {
    name,
    version,
    use,
    find() {
      const users = which(name);
      return (
        (users ? { path: users, origin: "yours" as const } : undefined) ??
        (downloaded ? recorded(downloaded, "download") : undefined) ??
        recorded(join(bin, build.program), "built from Go modules")
      );
    },
    async obtain() {
      if (download && downloaded && (await reachable(download.url))) {
        await downloadTar(download.url, join(tools, "downloads", `${name}-${version}`), download.strip ?? 0);
      }
      if (downloaded && isExecutable(downloaded)) {
        await mkdir(bin, { recursive: true });
        if (!existsSync(join(bin, build.program))) {
          symlinkSync(downloaded, join(bin, build.program));
        }
        return;
      }
      await goBuild(build, bin);
    },
  };
}

interface Download {
  url: string;
  /** Path of the program in the archive. */
  program: string;
  strip?: number;
}

const buildkitDownload = (program: string): Download => ({
  url: `https://github.com/moby/buildkit/releases/download/v${versions.buildkit}/buildkit-v${versions.buildkit}.${os}-${arch}.tar.gz`,
  program: `bin/${program}`,
});

/** The CLI stands beside its hosts: what it finds elsewhere on the PATH it warns about, at every start. */
const pulumi: Tool = {
  name: "pulumi",
  version: versions.pulumi,
  use: "the engine",
  find() {
    const users = which("pulumi");
    return users ? { path: users, origin: "yours" } : recorded(join(hosts, "pulumi"), cliOrigin());
  },
  async obtain() {
    const platform = `${os}-${arch === "amd64" ? "x64" : arch}`;
    const url = `https://get.pulumi.com/releases/sdk/pulumi-v${versions.pulumi}-${platform}.tar.gz`;
    if (!archive && (await reachable(url)) && (await downloadTar(url, hosts, 1))) {
      return;
    }
    if (!isExecutable(join(libexec, "pulumi"))) {
      const define = { "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": `v${versions.pulumi}` };
      await goBuild(
        { tool: "pulumi", main: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", program: "pulumi", define },
        libexec,
      );
    }
    if (archive) {
      await unpackArchive(archive);
    }
    await mkdir(hosts, { recursive: true });
    // A link, not a symbolic one: the CLI looks beside the file that it really is.
    await link(join(libexec, "pulumi"), join(hosts, "pulumi"));
  },
};

function cliOrigin(): Origin {
  return existsSync(join(libexec, "pulumi")) ? "built from Go modules" : "download";
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
      return users ? { path: users, origin: "yours" } : recorded(path, originOf(path));
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
    find: () => recorded(path, originOf(path)),
    async obtain() {
      const users = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), folder);
      if (isExecutable(join(users, file)) && users !== join(home, folder)) {
        await mkdir(join(home, "plugins"), { recursive: true });
        symlinkSync(users, join(home, folder));
        return;
      }
      if (archive) {
        await unpackArchive(archive);
      } else if (await reachable("https://get.pulumi.com")) {
        const env = { ...process.env, PULUMI_HOME: home, PATH: toolPath() };
        await output("pulumi", ["plugin", "install", "resource", name, version], { env }).catch(() => undefined);
      }
      if (isExecutable(path)) {
        return;
      }
      if (typeof standIn === "string") {
        return installScript(path, standInScript(standIn));
      }
      // One build serves every home.
      const built = join(libexec, file);
      if (!isExecutable(built)) {
        await goBuild(standIn, libexec);
      }
      await mkdir(dirname(path), { recursive: true });
      symlinkSync(built, path);
    },
  };
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
  return `#!/bin/sh\n${standInMark}.\nexec node "$FACECRAFT_ROOT/local/standins/${name}" "$@"\n`;
}

function originOf(path: string): Origin {
  if (lstatSync(dirname(path), { throwIfNoEntry: false })?.isSymbolicLink()) {
    return "yours";
  }
  if (existsSync(path) && lstatSync(path).isSymbolicLink()) {
    return "built from Go modules";
  }
  const start = existsSync(path) ? readFileSync(path).subarray(0, 80).toString() : "";
  return start.includes(standInMark) ? "stand-in" : archive ? "archive" : "download";
}

export const pulumiTools: Tool[] = [
  pulumi,
  pulumiHost("pulumi-language-nodejs", "runs the program", "languageHost.ts"),
  pulumiHost("pulumi-resource-pulumi-nodejs", "runs ModelChecksum", "dynamicProvider.ts"),
  plugin("docker-build", {
    tool: "docker-build",
    main: "github.com/pulumi/pulumi-docker-build/provider/cmd/pulumi-resource-docker-build",
    program: "pulumi-resource-docker-build",
    define: { "github.com/pulumi/pulumi-docker-build/provider.Version": packageVersion("@pulumi/docker-build") },
  }),
  plugin("command", "command.ts"),
  plugin("random", "random.ts"),
];

/** Not from Go modules: BuildKit wants a runc with seccomp, and that takes the headers of a C library. */
const runc: Tool = {
  name: "runc",
  version: "",
  use: "runs build steps",
  find() {
    const users = which("runc");
    const ours = join(bin, "runc");
    const origin = existsSync(ours) && realpathSync(ours).includes("/debian-runc/") ? "Debian package" : "download";
    return users ? { path: users, origin: "yours" } : recorded(ours, origin);
  },
  async obtain() {
    const { url } = buildkitDownload("");
    const downloaded = join(tools, "downloads", `buildkitd-${versions.buildkit}`);
    const program = join(downloaded, "bin/buildkit-runc");
    if (!existsSync(program) && !existsSync(downloaded) && (await reachable(url))) {
      await downloadTar(url, downloaded, 0);
    }
    if (!existsSync(program) && !hasDebian()) {
      throw new Failure(
        "runc is not installed, and neither a download nor a Debian package is to be had. Install runc.",
      );
    }
    if (!existsSync(program)) {
      await timed("getting runc from Debian's packages", () => unpackDebian(["runc"], debianRunc));
    }
    await mkdir(bin, { recursive: true });
    symlinkSync(existsSync(program) ? program : join(debianRunc, "usr/sbin/runc"), join(bin, "runc"));
  },
};

export const serviceTools: Tool[] = [
  program(
    "buildkitd",
    versions.buildkit,
    "the builder",
    { tool: "buildkit", main: "github.com/moby/buildkit/cmd/buildkitd", program: "buildkitd" },
    buildkitDownload("buildkitd"),
  ),
  program(
    "buildctl",
    versions.buildkit,
    "asks the builder how it is",
    { tool: "buildkit", main: "github.com/moby/buildkit/cmd/buildctl", program: "buildctl" },
    buildkitDownload("buildctl"),
  ),
  runc,
  program(
    "registry",
    versions.registry,
    "the registry",
    { tool: "registry", main: "github.com/distribution/distribution/v3/cmd/registry", program: "registry" },
    {
      url: `https://github.com/distribution/distribution/releases/download/v${versions.registry}/registry_${versions.registry}_${os}_${arch}.tar.gz`,
      program: "registry",
    },
  ),
];

/** Gets what is missing, one after the other: a Go build takes all cores. */
export async function obtainAll(wanted: readonly Tool[]): Promise<void> {
  for (const tool of wanted.filter((tool) => tool.find() === undefined)) {
    await tool.obtain();
  }
}
