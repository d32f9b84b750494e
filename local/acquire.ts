import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ArtifactError } from "../artifacts/errors.ts";
import { output, which } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { Failure, timed } from "./say.ts";
import { pinnedOnly, unpinned } from "./toolLock.ts";

/** Whether a site answers, whatever it says; an offline machine must not wait for long to find out. */
export async function reachable(url: string, milliseconds = 5000): Promise<boolean> {
  const { glance } = await import("../artifacts/glance.ts");
  try {
    await glance(url, {}, milliseconds);
    return true;
  } catch (error) {
    // An unusable proxy is told by the download itself.
    return error instanceof ArtifactError && (error.answered || error.code === "setup");
  }
}

/** Unpacks a local .tar.xz beside the target and renames it there: a target that exists is complete. */
export async function unpack(archive: string, target: string): Promise<void> {
  await mkdir(join(target, ".."), { recursive: true });
  const fresh = await mkdtemp(`${target}.new-`);
  try {
    await output("tar", ["-xf", archive, "--no-same-owner", "-C", fresh]);
    await chmod(fresh, 0o755);
    await rename(fresh, target);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
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
  /** Build tags. */
  tags?: readonly string[];
}

/** What a program was built from: kept beside it, so that another version or another tag builds it anew. */
function recipeOf({ tool, main, define = {}, tags = [] }: GoBuild): string {
  const modules = createHash("sha256").update(readFileSync(join(root, "local/tools", tool, "go.sum")));
  return `${JSON.stringify({ main, define, tags, modules: modules.digest("hex") })}\n`;
}

const recipeFile = (program: string, folder: string) => join(folder, `.${program}.json`);

/** Whether a program that is there was built as it is wanted. One without a recipe was built before there were any, without tags. */
export function isBuilt(build: GoBuild, folder: string): boolean {
  if (!lstatSync(join(folder, build.program), { throwIfNoEntry: false })?.isFile()) {
    return false;
  }
  const recipe = recipeFile(build.program, folder);
  return existsSync(recipe) ? readFileSync(recipe, "utf8") === recipeOf(build) : (build.tags ?? []).length === 0;
}

/** Builds a program from Go modules into a folder; go.sum pins all of them. @throws Failure when there is no Go, or the build fails */
export async function goBuild(build: GoBuild, folder: string): Promise<void> {
  if (!which("go")) {
    const why = `it is not installed and cannot be downloaded, and there is no Go to build it with`;
    throw pinnedOnly()
      ? unpinned(build.program, why)
      : new Failure(`${build.program} is missing: ${why}. Install ${build.program}, or Go 1.26 (see \`make doctor\`).`);
  }
  const defines = Object.entries(build.define ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const tags = build.tags ? ["-tags", build.tags.join(",")] : [];
  const target = join(folder, build.program);
  const fresh = `${target}.new-${process.pid}`;
  await mkdir(folder, { recursive: true });
  await timed(`building ${build.program} from Go modules`, () =>
    output(
      "go",
      ["build", "-trimpath", ...tags, "-ldflags", ["-s", "-w", ...defines].join(" "), "-o", fresh, build.main],
      {
        cwd: join(root, "local/tools", build.tool),
        env: {
          ...process.env,
          CGO_ENABLED: "0",
          ...goFolders(),
          // go.sum has no sum of a newer toolchain, which Go would fetch by itself.
          ...(pinnedOnly() && { GOTOOLCHAIN: "local" }),
        },
      },
    ),
  );
  await rename(fresh, target);
  await writeFile(recipeFile(build.program, folder), recipeOf(build));
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
