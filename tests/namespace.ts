import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, run } from "./run.ts";

/** What a site answers to one address. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Ends the connection after so many bytes of the body, every time or as often as `times` says. */
  cutAfter?: number;
  times?: number;
  /** Does not end the connection there, and sends nothing more. */
  stalls?: boolean;
}

/** The whole outside world: absolute address -> answer. What is not listed is a 404, of a host that is not, unknown. */
export type World = Record<string, Answer>;

const systemStore = "/etc/ssl/certs/ca-certificates.crt";
const programs = ["unshare", "ip", "mount", "openssl"];
const systemPath = `${process.env.PATH}:/usr/sbin:/sbin`;
/** An ordinary user is root of a user namespace first. */
export const asRoot: readonly string[] = process.getuid?.() === 0 ? [] : ["--map-root-user"];
const unshared = ["unshare", ...asRoot, "-n", "-m", "--propagation", "private"];

/** Why a test cannot have a network of its own here; undefined where it can. */
export const noNamespace: string | undefined = (() => {
  const missing = programs.filter((name) => spawnSync("which", [name], { env: { PATH: systemPath } }).status !== 0);
  if (missing.length > 0) {
    return `there is no ${missing.join(", ")}`;
  }
  if (!existsSync(systemStore)) {
    return `the system's certificate store is not ${systemStore}`;
  }
  const [program = "", ...args] = [...unshared, "ip", "link", "set", "lo", "up"];
  const tried = spawnSync(program, args, { env: { PATH: systemPath } });
  return tried.status === 0 ? undefined : "making a network namespace takes root, or a user namespace";
})();

export interface InWorld extends Result {
  /** The addresses that were asked for, in order. */
  asked: string[];
}

/**
 * Runs a command in a network of its own, where servers on loopback's ports 80 and 443 play every host of the world and the
 * system's certificate store trusts them. No variable names that store.
 *
 * @param down hosts that refuse connections
 */
export async function inWorld(
  world: World,
  command: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; down?: string[] },
): Promise<InWorld> {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-world-"));
  try {
    const { down = [] } = options;
    const hosts = [...new Set(Object.keys(world).map((address) => new URL(address).hostname))];
    certificates(folder, [...hosts, "localhost"]);
    mkdirSync(join(folder, "bodies"));
    const routes = Object.entries(world).map(([address, { body = "", ...answer }], index) => {
      writeFileSync(join(folder, "bodies", String(index)), body);
      return [address, { ...answer, body: join(folder, "bodies", String(index)) }];
    });
    writeFileSync(join(folder, "routes.json"), JSON.stringify(Object.fromEntries(routes)));
    const lines = [
      "127.0.0.1 localhost",
      ...hosts.filter((host) => !down.includes(host)).map((host) => `127.0.0.1 ${host}`),
      // Nobody listens there.
      ...down.map((host) => `127.0.0.9 ${host}`),
    ];
    writeFileSync(join(folder, "hosts"), `${lines.join("\n")}\n`);
    const script = `
      set -e
      ip link set lo up
      mount --bind '${folder}/hosts' /etc/hosts
      mount --bind '${folder}/store.pem' ${systemStore}
      '${process.execPath}' '${join(import.meta.dirname, "world-server.ts")}' '${folder}' &
      server=$!
      while [ ! -e '${folder}/ready' ]; do sleep 0.02; done
      code=0
      "$@" || code=$?
      kill $server
      exit $code
    `;
    const env = { ...options.env };
    for (const name of ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"]) {
      delete env[name];
    }
    const unshare = [...unshared, "sh", "-c", script, "sh"];
    const withPath = ["env", `PATH=${env.PATH}`, ...command];
    const result = await run([...unshare, ...withPath], options.cwd, { ...env, PATH: systemPath });
    return { ...result, asked: readFileSync(join(folder, "asked"), "utf8").split("\n").filter(Boolean) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A certificate for all hosts from a CA that only this world's store knows. */
function certificates(folder: string, hosts: string[]): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=world");
  openssl("req", ...key, "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=site");
  writeFileSync(join(folder, "names"), `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(",")}\n`);
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
  openssl("x509", "-req", "-in", "site.csr", ...signing, "-out", "site.pem");
  writeFileSync(join(folder, "store.pem"), readFileSync(join(folder, "ca.pem")));
}
