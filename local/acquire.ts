import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { ArtifactError } from "../artifacts/errors.ts";
import { output, which } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { Failure, say } from "./say.ts";
import { find, keep, take, type Wanted } from "./sharedCache.ts";
import { timed } from "./timeline.ts";
import { pinnedOnly, thisPlatform, unpinned } from "./toolLock.ts";

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
  const own = join(root, "local/tools", tool, "main.go");
  if (existsSync(own)) {
    modules.update(readFileSync(own));
  }
  return `${JSON.stringify({ main, define, tags, modules: modules.digest("hex") })}\n`;
}

/** Without what a debugger needs: to leave it out when linking alone costs the compiler a fifth more. */
const flags = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", "-s -w"];

/** A built program in the cache. Of the same recipe and the same Go come the same bytes; where there is no Go, any will do. */
function wantedOf(build: GoBuild): Wanted {
  return { kind: `go-${build.program}`, recipe: { recipe: recipeOf(build), flags, platform: thisPlatform } };
}

/** Keeps a program that was built for the next clone, unless that has been done. */
export async function keepBuilt(build: GoBuild, folder: string): Promise<void> {
  if (find(wantedOf(build))?.note.go === goVersion(build)) {
    return;
  }
  await keep(wantedOf(build), { [build.program]: join(folder, build.program) }, { go: goVersion(build) });
}

function goVersion({ tool }: GoBuild): string | undefined {
  return findGo() ? goEnv("GOVERSION", join(root, "local/tools", tool)) : undefined;
}

/** On the PATH, or where Go's own archive is unpacked, which is on the PATH of those alone who have put it there. */
export function findGo(): string | undefined {
  return which("go") ?? which("go", join(process.env.GOROOT || "/usr/local/go", "bin"));
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

/**
 * Builds a program from Go modules into a folder, which go.sum pins, unless it is there; or takes it from the cache, where a clone
 * has kept it that built it from the same ones.
 *
 * @throws Failure when there is no Go, or the build fails
 */
export async function goBuild(build: GoBuild, folder: string): Promise<void> {
  if (isBuilt(build, folder)) {
    return;
  }
  const target = join(folder, build.program);
  const version = goVersion(build);
  const kept = await take(
    wantedOf(build),
    () => target,
    ({ note }) => version === undefined || note.go === version,
  );
  if (kept !== undefined) {
    say(`${build.program}: taken from the cache, where a clone that built it on ${kept.made.slice(0, 10)} kept it`);
  } else {
    await inTurn(() => buildWithGo(build, target));
  }
  await writeFile(recipeFile(build.program, folder), recipeOf(build));
  if (kept === undefined) {
    await keepBuilt(build, folder);
  }
}

async function buildWithGo(build: GoBuild, target: string): Promise<void> {
  if (!findGo()) {
    const why = `it is not installed and cannot be downloaded, and there is no Go to build it with`;
    throw pinnedOnly()
      ? unpinned(build.program, why)
      : new Failure(`${build.program} is missing: ${why}. Install ${build.program}, or Go 1.26 (see \`make doctor\`).`);
  }
  const defines = Object.entries(build.define ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const fresh = `${target}.new-${process.pid}`;
  const strip = flags.at(-1);
  const own = [...flags.slice(0, -1), [strip, ...defines].join(" "), ...tagArgs(build)];
  await mkdir(dirname(target), { recursive: true });
  fetchAnnounced(build);
  await timed(`building ${build.program} from Go modules`, () =>
    goOutput(["build", ...own, "-o", fresh, build.main], build),
  );
  await rename(fresh, target);
}

const tagArgs = ({ tags }: GoBuild) => (tags ? ["-tags", tags.join(",")] : []);

function goOutput(args: readonly string[], { tool }: GoBuild): Promise<string> {
  return output(findGo() ?? "go", args, {
    cwd: join(root, "local/tools", tool),
    signal: stopped.signal,
    env: {
      ...process.env,
      CGO_ENABLED: "0",
      // The compiler's own garbage collection costs it a fifth of its time, and saves less than 1 GB.
      GOGC: "800",
      ...goFolders(),
      // go.sum has no sum of a newer toolchain, which Go would fetch by itself.
      ...(pinnedOnly() && { GOTOOLCHAIN: "local" }),
    },
  });
}

const stopped = new AbortController();

/** Ends the Go builds that run; those that wait fail, too. */
export function stopGoBuilds(): void {
  stopped.abort();
}

/**
 * One Go build after the other: the tools' modules are of the same versions, so each takes from Go's cache what those before it have
 * compiled, and two at the same time would compile it twice.
 */
let turn: Promise<unknown> = Promise.resolve();
let underWay = 0;

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  underWay++;
  const result = turn.then(work).finally(() => underWay--);
  turn = result.catch(() => {});
  return result;
}

/** Whether something is being built, which takes minutes. */
export function isBuilding(): boolean {
  return underWay > 0;
}

/** What may have to be built, and whose modules nobody has asked for yet. */
const announced: GoBuild[] = [];
let fetching: Promise<unknown> = Promise.resolve();

/** Says what is missing: where one of these has to be built, the modules of the others are fetched while it is compiled. */
export function announceBuilds(builds: readonly GoBuild[]): void {
  announced.push(...builds);
}

function fetchAnnounced(but: GoBuild): void {
  for (const build of announced.splice(0).filter((build) => build !== but)) {
    const args = ["list", "-deps", ...tagArgs(build), build.main];
    // Whatever is wrong with them, the build itself tells.
    fetching = fetching.then(() => goOutput(args, build).catch(() => {}));
  }
}

let usersModules: string | undefined;

/** Go's caches, inside our folder; modules that the user has downloaded before are read from where they are. */
function goFolders(): Record<string, string> {
  const go = join(tools, "go");
  usersModules ??= goEnv("GOMODCACHE");
  const proxies = [goEnv("GOPROXY") ?? "direct"];
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

function goEnv(name: string, cwd?: string): string | undefined {
  const { stdout } = spawnSync(findGo() ?? "go", ["env", name], { encoding: "utf8", cwd });
  return stdout?.trim() || undefined;
}

/** Go's caches are only needed to build; several gigabytes come free. */
export async function dropGoCaches(): Promise<void> {
  await fetching;
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
