import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A repository of an OCI registry, read-only: https://github.com/opencontainers/distribution-spec. */
export class Repository {
  readonly host: string;
  readonly path: string;
  readonly #registry: string;
  readonly #credentials: Credentials | undefined;
  #authorization: string | undefined;
  #local: Promise<string> | undefined;

  /**
   * @param name a repository without a tag, as Docker writes it, for example docker.io/djok/facecraft
   * @param credentials default: the user's `docker login`, where the registry asks for one
   */
  constructor(name: string, credentials?: Credentials) {
    const registry = registryOf(name);
    this.host = registry === "docker.io" ? "registry-1.docker.io" : registry;
    const path = name.startsWith(`${registry}/`) ? name.slice(registry.length + 1) : name;
    this.path = registry === "docker.io" && !path.includes("/") ? `library/${path}` : path;
    this.#credentials = credentials;
    this.#registry = registry;
  }

  /** Fetches a manifest by tag or digest, with the digest of the bytes that came. */
  async manifest(reference: string): Promise<{ digest: string; manifest: Manifest }> {
    const body = await this.#get(`manifests/${reference}`, manifestTypes.join(", "));
    const digest = digestOf(body);
    if (reference.startsWith("sha256:") && digest !== reference) {
      throw new RegistryError(
        `${this.host} answered ${reference} of ${this.path} with a manifest whose digest is ${digest}.`,
      );
    }
    return { digest, manifest: JSON.parse(body.toString()) as Manifest };
  }

  /** Fetches a blob and checks it against its digest. Meant for small ones: it is held in memory. */
  async blob(digest: string): Promise<Buffer> {
    const body = await this.#get(`blobs/${digest}`, "*/*");
    if (digestOf(body) !== digest) {
      throw new RegistryError(
        `${this.host} answered blob ${digest} of ${this.path} with other bytes (${digestOf(body)}).`,
      );
    }
    return body;
  }

  /** @throws RegistryError when nobody answers; a certificate that is not trusted here, or a refusal, is an answer. */
  async ping(): Promise<void> {
    try {
      await fetch(`https://${this.host}/v2/`, { method: "HEAD", signal: AbortSignal.timeout(10_000) });
    } catch (error) {
      const { code, message } = causeOf(error);
      if (
        code === undefined ||
        /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/.test(code)
      ) {
        throw new RegistryError(`The registry ${this.host} cannot be reached: ${code ?? message}.`);
      }
    }
  }

  /** Fetches a blob of any size. The bytes are not checked: whoever reads them to their end can. */
  async stream(digest: string): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.#fetch(`blobs/${digest}`, "*/*");
    return body as ReadableStream<Uint8Array>;
  }

  async #get(path: string, accept: string): Promise<Buffer> {
    return Buffer.from(await (await this.#fetch(path, accept)).arrayBuffer());
  }

  async #fetch(path: string, accept: string): Promise<Response> {
    const url = `${await this.#origin()}/v2/${this.path}/${path}`;
    const request = () =>
      fetch(url, { headers: { accept, ...(this.#authorization && { authorization: this.#authorization }) } }).catch(
        (error) => {
          const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
          throw new RegistryError(`The registry ${this.host} cannot be reached: ${cause}.`);
        },
      );
    let response = await request();
    if (response.status === 401) {
      this.#authorization = await this.#authorize(response.headers.get("www-authenticate") ?? "");
      response = await request();
    }
    if (!response.ok) {
      const hint =
        response.status === 401 || response.status === 403 ? `; log in with \`docker login ${this.host}\`` : "";
      throw new RegistryError(`${url} answered ${response.status} ${response.statusText}${hint}.`);
    }
    return response;
  }

  /** Like Docker, plain HTTP for a registry on this machine that does not speak TLS, and for no other. */
  async #origin(): Promise<string> {
    const secure = `https://${this.host}`;
    if (!/^(localhost|127\.0\.0\.1)(:|$)/.test(this.host)) {
      return secure;
    }
    this.#local ??= fetch(`${secure}/v2/`, { method: "HEAD" }).then(
      () => secure,
      (error) =>
        causeOf(error).code === "ERR_SSL_WRONG_VERSION_NUMBER" ||
        /wrong version number|packet length/i.test(causeOf(error).message)
          ? `http://${this.host}`
          : secure,
    );
    return this.#local;
  }

  async #authorize(challenge: string): Promise<string | undefined> {
    const login = this.#credentials ?? dockerLogin(this.#registry);
    const basic = login && `Basic ${btoa(`${login.username}:${login.password}`)}`;
    const parameters = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1], match[2]]),
    );
    if (!/^bearer /i.test(challenge) || !parameters.realm) {
      return basic;
    }
    const url = new URL(parameters.realm);
    url.searchParams.set("service", parameters.service ?? "");
    url.searchParams.set("scope", parameters.scope ?? `repository:${this.path}:pull`);
    const response = await fetch(url, { headers: basic ? { authorization: basic } : {} });
    if (!response.ok) {
      throw new RegistryError(
        `${url.host} refused a token for ${this.path}: ${response.status} ${response.statusText}.`,
      );
    }
    const { token, access_token } = (await response.json()) as { token?: string; access_token?: string };
    return `Bearer ${token ?? access_token}`;
  }
}

export class RegistryError extends Error {}

export interface Credentials {
  username: string;
  password: string;
}

interface Descriptor {
  digest: string;
  mediaType: string;
  size: number;
  platform?: { os: string; architecture: string };
}

/** An image manifest (`config`, `layers`) or an index of them (`manifests`). */
export interface Manifest {
  mediaType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
}

const manifestTypes = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

/** The registry's part of a repository name; Docker Hub where there is none. */
export function registryOf(repository: string): string {
  const first = repository.split("/")[0] ?? "";
  return repository.includes("/") && (/[.:]/.test(first) || first === "localhost") ? first : "docker.io";
}

/** What lies under the "fetch failed" of a client that tells nothing else. */
function causeOf(error: unknown): { code?: string; message: string } {
  const { cause = error } = error as { cause?: unknown };
  const { code, message, errors } = cause as { code?: string; message?: string; errors?: Error[] };
  return { ...(code && { code }), message: message || errors?.[0]?.message || code || String(cause) };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The user's `docker login` for a registry, from Docker's config file or the credential helper that it names. */
function dockerLogin(registry: string): Credentials | undefined {
  const key = registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
  const folder = process.env.DOCKER_CONFIG ?? join(homedir(), ".docker");
  let config: DockerConfig;
  try {
    config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  } catch {
    return undefined;
  }
  const helper = config.credHelpers?.[registry] ?? config.credsStore;
  if (helper) {
    try {
      const answer = execFileSync(`docker-credential-${helper}`, ["get"], { input: key, stdio: "pipe" });
      const { Username, Secret } = JSON.parse(answer.toString());
      return { username: Username, password: Secret };
    } catch {
      return undefined;
    }
  }
  const [username = "", ...password] = atob(config.auths?.[key]?.auth ?? "").split(":");
  return username === "" ? undefined : { username, password: password.join(":") };
}

interface DockerConfig {
  auths?: Record<string, { auth?: string }>;
  credHelpers?: Record<string, string>;
  credsStore?: string;
}
