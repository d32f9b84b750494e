import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hasDebian, unpackDebian } from "../../local/debian.ts";
import { output, run, which } from "../../local/exec.ts";
import { bin, paths, root, tools } from "../../local/paths.ts";
import { home, obtainAll, rootlessTools, toolPath } from "../../local/tools.ts";
import type { Result } from "../run.ts";
import { checkout } from "./harness.ts";

/** Nobody has this number. */
const uid = 54_323;

/** Why this machine cannot lend itself to an ordinary user; undefined where it can. */
export const whyNobodyElse: string | undefined = (() => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "it takes root on Linux to become somebody else";
  }
  if (spawnSync("unshare", ["--mount", "true"]).status !== 0) {
    return "a mount namespace cannot be made here";
  }
  const asUser = (...command: string[]) =>
    spawnSync("setpriv", ["--reuid", String(uid), "--regid", String(uid), "--clear-groups", ...command]).status === 0;
  if (!asUser("unshare", "--user", "true")) {
    return "an ordinary user cannot make a user namespace here";
  }
  if (
    !asUser("test", "-r", join(root, "node_modules/undici/package.json")) ||
    !asUser("test", "-x", join(bin, "buildkitd"))
  ) {
    return "it takes a clone and tools that everybody may read";
  }
  return which("newuidmap") || hasDebian() ? undefined : "there is neither newuidmap nor a Debian to get it from";
})();

/** What an administrator has done for a user. */
export type Given = Pick<OrdinaryUser, "ranges" | "mappers" | "mayMakeNamespaces" | "name">;

/** The programs that map a range of ids into a namespace. */
export const mappers: readonly string[] = ["newuidmap", "newgidmap"];

/**
 * A user with an empty home, who has a clone of this project and nothing else of the machine but its programs. What an
 * administrator would have done for him, a name, newuidmap and a range of ids, is seen by him alone.
 */
export class OrdinaryUser {
  readonly folder: string;
  readonly clone: string;
  /** His tools folder. */
  readonly tools: string;
  readonly #programs: string;
  /** Lines of /etc/subuid and /etc/subgid. */
  ranges = { subuid: "ordinary:300000:65536\n", subgid: "ordinary:300000:65536\n" };
  mappers: readonly string[] = mappers;
  mayMakeNamespaces = true;
  name: string | undefined = "ordinary";

  private constructor(folder: string) {
    this.folder = folder;
    this.clone = join(folder, "clone");
    this.tools = join(this.clone, ".tools");
    this.#programs = join(folder, "bin");
  }

  static async make(): Promise<OrdinaryUser> {
    const user = new OrdinaryUser(mkdtempSync(join(tmpdir(), "facecraft-user-")));
    chmodSync(user.folder, 0o755);
    await checkout(user.clone);
    for (const folder of ["home", "bin", "mapping"]) {
      mkdirSync(join(user.folder, folder));
    }
    copyFileSync(process.execPath, join(user.#programs, "node"));
    await user.#lend(join(user.folder, "mapping"));
    await obtainAll(rootlessTools);
    mkdirSync(join(user.tools, "local/artifacts"), { recursive: true });
    await output("cp", ["-a", "--reflink=auto", `${paths.artifacts}/.`, join(user.tools, "local/artifacts")]);
    await output("chown", ["-hR", `${uid}:${uid}`, user.clone, join(user.folder, "home")]);
    return user;
  }

  /** Puts newuidmap and newgidmap into a folder, as an administrator installs them. */
  async #lend(folder: string): Promise<void> {
    const installed = which("newuidmap");
    const unpacked = join(this.folder, "uidmap");
    if (installed === undefined) {
      await unpackDebian(["uidmap"], unpacked);
    }
    for (const name of mappers) {
      copyFileSync(join(installed ? dirname(installed) : join(unpacked, "usr/bin"), name), join(folder, name));
      chmodSync(join(folder, name), 0o4755);
    }
  }

  /** Does something as if an administrator had given this user other things than he has. */
  async given<T>(given: Partial<Given>, does: () => Promise<T>): Promise<T> {
    const { ranges, mappers, mayMakeNamespaces, name } = this;
    Object.assign(this, given);
    try {
      return await does();
    } finally {
      Object.assign(this, { ranges, mappers, mayMakeNamespaces, name });
    }
  }

  /** Runs a command as this user, in his clone, with the tools of this clone at hand. */
  async run(command: string[], env: NodeJS.ProcessEnv = {}): Promise<Result> {
    const { code, text } = await run("unshare", this.#command(command, env), { cwd: "/" });
    return { code, text };
  }

  #command(command: string[], env: NodeJS.ProcessEnv): string[] {
    const ranges = Object.entries(this.ranges).map(([name, lines]) => {
      const file = join(this.folder, name);
      writeFileSync(file, lines);
      return `[ -e /etc/${name} ] || touch /etc/${name}; mount --bind '${file}' /etc/${name}`;
    });
    const passwd = join(this.folder, "passwd");
    const line = `${this.name}:x:${uid}:${uid}::${join(this.folder, "home")}:/bin/sh\n`;
    writeFileSync(passwd, readFileSync("/etc/passwd", "utf8") + (this.name ? line : ""));
    const ours = toolPath()
      .split(":")
      .filter((folder) => folder.startsWith(`${tools}/`));
    const system = (process.env.PATH ?? "").split(":").filter((folder) => /^\/(usr|bin|sbin)/.test(folder));
    const mapping = join(this.folder, "mapping");
    const hidden = mappers.filter((name) => !this.mappers.includes(name));
    // Where the machine has them for everybody, they are hidden from who is to be without.
    const hide = hidden.flatMap((name) => [join(mapping, name), which(name) ?? ""].filter(Boolean));
    const become = `setpriv --reuid ${uid} --regid ${uid} --clear-groups -- env -i "$@"`;
    const script = `
      ${hide.map((path) => `mount --bind /dev/null '${path}'`).join("\n")}
      mount --bind '${passwd}' /etc/passwd
      ${ranges.join("\n")}
      cd '${this.clone}'
      ${this.mayMakeNamespaces ? `exec ${become}` : withoutNamespaces(become)}
    `;
    const certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
    const variables = {
      ...Object.fromEntries(
        certificates.flatMap((name) => {
          const file = process.env[name];
          return file && !file.startsWith(`${tools}/`) ? [[name, file]] : [];
        }),
      ),
      HOME: join(this.folder, "home"),
      LANG: "C.UTF-8",
      PATH: [this.#programs, mapping, ...ours, ...system].join(":"),
      PULUMI_HOME: home,
      FACECRAFT_SHARED_CACHE: "/nonexistent",
      ...env,
    };
    const assigned = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    return ["--mount", "--propagation", "private", "sh", "-euc", script, "sh", ...assigned, ...command];
  }

  /** Stops what runs and removes all of it, the files of other ids as well. */
  async remove(): Promise<void> {
    await this.run(["local/run", "down"]);
    await run("rm", ["-rf", this.folder]);
  }
}

/** The script of root that runs a command where the kernel lets nobody make a user namespace; ids are the same there. */
function withoutNamespaces(command: string): string {
  return `
    unshare --user sleep infinity &
    trap "kill $!" EXIT
    until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
    for map in uid_map gid_map; do echo "0 0 4294967295" >/proc/$!/$map; done
    nsenter --user --target $! sh -euc 'echo 0 >/proc/sys/user/max_user_namespaces; exec ${command}' sh "$@"
  `;
}

/** Command lines that name something in a folder. */
export function processesOf(folder: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return command.includes(folder) ? [command] : [];
    } catch {
      return [];
    }
  });
}
