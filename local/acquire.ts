import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { output, which } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { Failure, timed } from "./say.ts";

/** Whether a site answers, whatever it says; an offline machine must not wait for long to find out. */
export async function reachable(url: string, milliseconds = 5000): Promise<boolean> {
  try {
    await fetch(url, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(milliseconds) });
    return true;
  } catch {
    return false;
  }
}

/**
 * Downloads a .tar.gz, unpacks it beside the target and renames it there: a target that exists is complete.
 *
 * @returns false when it cannot be had
 */
export async function downloadTar(url: string, target: string, stripComponents: number): Promise<boolean> {
  await mkdir(join(target, ".."), { recursive: true });
  const fresh = await mkdtemp(`${target}.new-`);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(600_000) }).catch(() => undefined);
    if (!response?.ok || !response.body) {
      return false;
    }
    const tar = spawn("tar", ["-xz", `--strip-components=${stripComponents}`, "-C", fresh], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    const closed = once(tar, "close");
    await pipeline(Readable.fromWeb(response.body), tar.stdin);
    const [code] = await closed;
    if (code !== 0) {
      return false;
    }
    await rename(fresh, target);
    return true;
  } catch {
    return false;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Unpacks a local .tar.xz in the same way. */
export async function unpack(archive: string, target: string): Promise<void> {
  await mkdir(join(target, ".."), { recursive: true });
  const fresh = await mkdtemp(`${target}.new-`);
  await output("tar", ["-xf", archive, "--no-same-owner", "-C", fresh]);
  await chmod(fresh, 0o755);
  await rename(fresh, target);
}

export interface GoBuild {
  /** Folder below local/tools with go.mod and go.sum. */
  tool: string;
  /** Import path of the main package. */
  main: string;
  /** Name of the program that comes out. */
  program: string;
  /** `-X` settings of the linker. */
  define?: Record<string, string>;
}

/** Builds a pinned program from Go modules into a folder. @throws Failure when there is no Go, or the build fails */
export async function goBuild(build: GoBuild, folder: string): Promise<void> {
  if (!which("go")) {
    throw new Failure(
      `${build.program} is not installed and cannot be downloaded, and there is no Go to build it with. ` +
        `Install ${build.program}, or Go 1.26 (see \`make doctor\`).`,
    );
  }
  const defines = Object.entries(build.define ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const target = join(folder, build.program);
  const fresh = `${target}.new-${process.pid}`;
  await mkdir(folder, { recursive: true });
  await timed(`building ${build.program} from Go modules`, () =>
    output("go", ["build", "-trimpath", "-ldflags", ["-s", "-w", ...defines].join(" "), "-o", fresh, build.main], {
      cwd: join(root, "local/tools", build.tool),
      env: { ...process.env, CGO_ENABLED: "0", ...goFolders() },
    }),
  );
  await rename(fresh, target);
}

let usersModules: string | undefined;

/** Go's caches, inside our folder; modules that the user has downloaded before are read from where they are. */
function goFolders(): Record<string, string> {
  const go = join(tools, "go");
  usersModules ??= userGoEnv("GOMODCACHE");
  const proxies = [userGoEnv("GOPROXY") ?? "direct"];
  if (usersModules && existsSync(join(usersModules, "cache/download"))) {
    proxies.unshift(`file://${join(usersModules, "cache/download")}`);
  }
  return {
    GOPATH: go,
    GOMODCACHE: join(go, "mod"),
    GOCACHE: join(go, "cache"),
    GOPROXY: proxies.join(","),
    GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
    GOMAXPROCS: String(availableParallelism()),
  };
}

function userGoEnv(name: string): string | undefined {
  const { stdout } = spawnSync("go", ["env", name], { encoding: "utf8" });
  return stdout?.trim() || undefined;
}

/** Go's caches are only needed to build; several gigabytes come free. */
export async function dropGoCaches(): Promise<void> {
  await rm(join(tools, "go"), { recursive: true, force: true });
}

/** Puts a file in place at once, whole and executable. */
export async function installScript(path: string, text: string): Promise<void> {
  if ((await readFile(path, "utf8").catch(() => undefined)) === text) {
    return;
  }
  await mkdir(join(path, ".."), { recursive: true });
  const fresh = `${path}.new-${process.pid}`;
  await writeFile(fresh, text, { mode: 0o755 });
  await rename(fresh, path);
}
