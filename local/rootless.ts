import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { output, run, which } from "./exec.ts";
import { root } from "./paths.ts";
import { toolPath } from "./tools.ts";

/** What is not there for a user namespace of an ordinary user, and what an administrator has to type, once. */
export interface Lack {
  /** Clauses without a full stop. */
  reasons: string[];
  /** For root's shell; empty where no command helps. */
  command: string;
}

/** How many ids a namespace needs: Debian's packages have files of nobody, which is 65534. */
const enough = 65_536;
const firstId = 100_000;
const idFiles = { subuid: "/etc/subuid", subgid: "/etc/subgid" };

/** What root's Docker has in /run is there as links, which lead to where only root may write. */
const rootsOwn = ["docker", "docker.pid", "containerd", "runc", "xtables.lock"].map((name) => `/run/${name}`);
const runtimeFolder = "/run/facecraft";
const prepared = `rm -f ${rootsOwn.join(" ")} && mkdir -p ${runtimeFolder} && exec "$0" "$@"`;

/**
 * The command line that runs a program as root of a user namespace, in which the ids of the user's range are others. Its
 * /etc and /run can be written, and nobody else sees what is.
 *
 * @param folder for the state of one that runs on; a path of at most 90 characters, because there is a socket in it
 */
export function inUserNamespace(
  command: readonly string[],
  folder?: string,
  namespaces: readonly string[] = ["--net=host"],
): [string, ...string[]] {
  const state = folder === undefined ? [] : [`--state-dir=${folder}`];
  return ["rootlesskit", ...state, ...namespaces, "--copy-up=/etc", "--copy-up=/run", "sh", "-c", prepared, ...command];
}

/** For daemons in a user namespace: what they keep of running containers ends with it. */
export function namespaceEnvironment(): NodeJS.ProcessEnv {
  return { XDG_RUNTIME_DIR: runtimeFolder };
}

/**
 * Removes a file or a folder, also one with files of the ids that a builder of an ordinary user gave to users in an image.
 * Those are not the user's own, and only root of the namespace may remove them.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    const refused = ["EACCES", "EPERM", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (!refused || process.getuid?.() === 0 || !which("rootlesskit", toolPath())) {
      throw error;
    }
    const [program, ...args] = inUserNamespace(["rm", "-rf", "--", path]);
    await output(program, args, { env: { ...process.env, PATH: toolPath() } });
  }
}

/**
 * What keeps this user from a namespace with a range of ids; undefined where it works, which is tried. What `local/run` sees of it
 * without Node.js, it says in the same words.
 */
export async function whatRootlessLacks(): Promise<Lack | undefined> {
  const reasons: string[] = [];
  const commands: string[] = [];
  const lack = (reason: string, command: string) => {
    reasons.push(reason);
    commands.push(command);
  };
  const { code, text } = await run("unshare", ["--user", "--map-root-user", "--mount", "true"]).catch(() => ({
    code: 127,
    text: "there is no unshare (util-linux)",
  }));
  if (code !== 0) {
    lack(...whyNoNamespace(text));
  }
  const missing = ["newuidmap", "newgidmap"].filter((program) => which(program, systemPath()) === undefined);
  if (missing.length > 0) {
    lack(`${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} not installed`, uidmapCommands().install);
  }
  const { uid, gid, name } = whoAmI();
  const named = name ?? `user-${uid}`;
  if (name === undefined) {
    lack(
      `the system has no name for the user id ${uid}, and newuidmap serves nobody without`,
      `useradd --uid ${uid} --no-create-home ${named}`,
    );
  }
  const ranges = { subuid: rangesOf("subuid", uid, named), subgid: rangesOf("subgid", uid, named) };
  const small = (["subuid", "subgid"] as const).filter((kind) => sizeOf(ranges[kind]) < enough - 1);
  if (small.length > 0) {
    const files = small.map((kind) => idFiles[kind]).join(" and ");
    lack(
      `${files} ${small.length > 1 ? "have" : "has"} no range of ${enough} ids for ${name ?? uid}`,
      giveRange(named, small),
    );
  }
  if (reasons.length === 0) {
    const refusal = await tryMapping({ uid, gid, ...ranges });
    if (refusal !== undefined) {
      lack(refusal, uidmapCommands().reinstall);
    }
  }
  return reasons.length === 0 ? undefined : { reasons, command: commands.filter(Boolean).join(" && ") };
}

/** What is lacking, and who does what about it. */
export function sentences({ reasons, command }: Lack): string {
  const what = `${reasons.join("; ")}.`;
  return command ? `${what} An administrator has to run this once, as root: \`${command}\`.` : what;
}

/** Debian keeps programs of administrators off the PATH of everybody else. */
function systemPath(): string {
  return [process.env.PATH, "/usr/sbin", "/sbin"].filter(Boolean).join(":");
}

function whoAmI(): { uid: number; gid: number; name: string | undefined } {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  try {
    return { uid, gid, name: userInfo().username };
  } catch {
    return { uid, gid, name: undefined }; // the system does not know this id
  }
}

function whyNoNamespace(said: string): [reason: string, command: string] {
  const setting = (name: string): string => {
    try {
      return readFileSync(join("/proc/sys", name.replaceAll(".", "/")), "utf8").trim();
    } catch {
      return "";
    }
  };
  const found = table("namespaces.tsv").find(([name = "", is]) => setting(name) === is);
  if (found === undefined) {
    return [`a user namespace cannot be made here (${said.trim().split("\n").at(-1)})`, ""];
  }
  const [name, is, shouldBe] = found;
  return [
    `no ordinary user may make a user namespace (${name} is ${is})`,
    `echo ${name}=${shouldBe} >/etc/sysctl.d/60-user-namespaces.conf && sysctl --load=/etc/sysctl.d/60-user-namespaces.conf`,
  ];
}

/** How newuidmap is installed, and installed anew, by the program that a system has for it. */
function uidmapCommands(): { install: string; reinstall: string } {
  const [, install = "", reinstall = ""] =
    table("uidmap.tsv").find(([program = ""]) => which(program, systemPath())) ?? [];
  return { install, reinstall };
}

/** A file of values between tabs, which `local/run` reads as well. */
function table(name: string): string[][] {
  const lines = readFileSync(join(root, "local", name), "utf8")
    .trimEnd()
    .split("\n");
  return lines.map((line) => line.split("\t"));
}

type Range = { start: number; count: number };
type Kind = keyof typeof idFiles;

/** The ranges of a user, by name or by number; a system that keeps them elsewhere than in the file says so by `getsubids`. */
function rangesOf(kind: Kind, uid: number, name: string): Range[] {
  const own = linesOf(kind)
    .filter(({ owner }) => owner === name || owner === String(uid))
    .map(({ start, count }) => ({ start, count }));
  if (own.length > 0 || !which("getsubids", systemPath())) {
    return own;
  }
  const { stdout } = spawnSync("getsubids", [...(kind === "subgid" ? ["-g"] : []), name], {
    encoding: "utf8",
    env: { ...process.env, PATH: systemPath() },
  });
  return [...(stdout ?? "").matchAll(/^\d+: \S+ (\d+) (\d+)$/gm)].map(([, start, count]) => ({
    start: Number(start),
    count: Number(count),
  }));
}

function linesOf(kind: Kind): (Range & { owner: string })[] {
  const file = idFiles[kind];
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  return lines.flatMap((line) => {
    const [, owner = "", start, count] = /^([^:#\s]+):(\d+):(\d+)\s*$/.exec(line) ?? [];
    return start === undefined ? [] : [{ owner, start: Number(start), count: Number(count) }];
  });
}

function sizeOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { count }) => sum + count, 0);
}

/** A range that nobody has. */
function giveRange(name: string, kinds: readonly Kind[]): string {
  const taken = [...linesOf("subuid"), ...linesOf("subgid")];
  const start = Math.max(firstId, ...taken.map(({ start, count }) => start + count));
  return `usermod ${kinds.map((kind) => `--add-${kind}s ${start}-${start + enough - 1}`).join(" ")} ${name}`;
}

/** Maps the ranges into a namespace, as RootlessKit will: programs that lost their rights, or a service manager, may refuse it. */
async function tryMapping(who: {
  uid: number;
  gid: number;
  subuid: Range[];
  subgid: Range[];
}): Promise<string | undefined> {
  const env = { ...process.env, PATH: systemPath() };
  const child = spawn("unshare", ["--user", "cat"], { stdio: ["pipe", "ignore", "ignore"], env });
  try {
    await until(() => namespaceOf(child.pid) !== namespaceOf(process.pid));
    for (const [program, own, ranges] of [
      ["newuidmap", who.uid, who.subuid],
      ["newgidmap", who.gid, who.subgid],
    ] as const) {
      const { code, text } = await run(program, [String(child.pid), ...mapOf(own, ranges)], { env });
      if (code !== 0) {
        return `${program} refuses the range (${text.trim().split("\n").at(-1)})`;
      }
    }
    return undefined;
  } finally {
    child.stdin.end();
  }
}

function mapOf(own: number, ranges: readonly Range[]): string[] {
  let next = 1;
  const rest = ranges.flatMap(({ start, count }) => {
    const line = [next, start, count].map(String);
    next += count;
    return line;
  });
  return ["0", String(own), "1", ...rest];
}

function namespaceOf(pid: number | undefined): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/user`);
  } catch {
    return undefined;
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !condition(); i++) {
    await sleep(10);
  }
}
