import { readFile } from "node:fs/promises";
import { join } from "node:path";
import spawn from "nano-spawn";
import { userHome } from "../artifacts/userHome.ts";

export interface Credentials {
  username: string;
  password: string;
}

/** A login that was given, where it is a whole one. @returns undefined where there is none: then the user's own counts */
export function givenLogin(given: Partial<Record<keyof Credentials, unknown>>): Credentials | undefined {
  const { username, password } = given;
  return username && password ? { username: String(username), password: String(password) } : undefined;
}

/** What a user's `docker login` left: a name and a password, or a token that buys others. */
export type Login = Credentials | { identityToken: string };

export interface Found {
  login?: Login;
  /** Why there is none, where that is a fault. */
  trouble?: string;
}

/** A helper may ask the user to unlock a key ring. */
const helperMs = 60_000;

/**
 * The user's `docker login` for a registry, from Docker's config file or the credential helper that it names. The rules:
 * https://docs.docker.com/reference/cli/docker/login/#credential-stores
 */
export async function dockerLogin(registry: string): Promise<Found> {
  const file = join(process.env.DOCKER_CONFIG ?? join(userHome() ?? "/", ".docker"), "config.json");
  let config: DockerConfig;
  try {
    config = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    return absent ? {} : { trouble: `${file} cannot be read` };
  }
  const key = registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
  const helper = config.credHelpers?.[registry] ?? config.credHelpers?.[key] ?? config.credsStore;
  return helper ? fromHelper(`docker-credential-${helper}`, key) : fromFile(config.auths ?? {}, registry);
}

async function fromHelper(helper: string, key: string): Promise<Found> {
  try {
    const { stdout } = await spawn(helper, ["get"], { stdin: { string: key }, timeout: helperMs });
    const { Username, Secret } = JSON.parse(stdout) as { Username: string; Secret: string };
    return { login: Username === "<token>" ? { identityToken: Secret } : { username: Username, password: Secret } };
  } catch (error) {
    // What a helper prints may be a secret: only the one sentence of the protocol is looked for.
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return /credentials not found/i.test(stdout + stderr) ? {} : { trouble: `${helper} gave no login` };
  }
}

function fromFile(auths: Record<string, Auth>, registry: string): Found {
  const entry = Object.entries(auths).find(([key]) => hostOf(key) === registry)?.[1];
  if (entry?.identitytoken) {
    return { login: { identityToken: entry.identitytoken } };
  }
  const [username = "", ...password] = Buffer.from(entry?.auth ?? "", "base64")
    .toString()
    .split(":");
  return username === "" ? {} : { login: { username, password: password.join(":") } };
}

/** Older logins are kept under a URL, and Docker Hub's under one with another host. */
function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return ["index.docker.io", "registry-1.docker.io"].includes(host) ? "docker.io" : host;
}

interface DockerConfig {
  auths?: Record<string, Auth>;
  credHelpers?: Record<string, string>;
  credsStore?: string;
}

interface Auth {
  auth?: string;
  identitytoken?: string;
}
