import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { userHome } from "../artifacts/userHome.ts";

/**
 * Says why nothing can be built with a builder, in words that follow its name; undefined when nothing speaks against it.
 * A builder is an instance of buildx, or a Docker context with the builder that comes with it. One of the driver `remote`
 * is a BuildKit that somebody else starts, so it is asked whether it listens: docker-build would wait for it for 20 s and
 * then speak of a deadline.
 *
 * @param patience milliseconds that a connection may take
 */
export async function builderFault(name: string, patience = 5000): Promise<string | undefined> {
  const file = instanceFile(name);
  if (!existsSync(file)) {
    const context = createHash("sha256").update(name).digest("hex");
    return name === "default" || existsSync(join(dockerFolder(), "contexts", "meta", context, "meta.json"))
      ? undefined
      : "but buildx has no such builder; see `docker buildx ls`, or make one with `docker buildx create`";
  }
  const nodes = remoteNodes(name);
  if (nodes === undefined) {
    return `but what buildx has written down of it, ${file}, cannot be read; make it again with \`docker buildx create\``;
  }
  const endpoints = nodes.map(({ endpoint }) => endpoint);
  const faults = await Promise.all(endpoints.map((endpoint) => connectionFault(endpoint, patience)));
  return endpoints.length > 0 && faults.every((fault) => fault !== undefined)
    ? `but no BuildKit answers at ${endpoints.map((endpoint, i) => `${endpoint} (${faults[i]})`).join(", ")}; start it`
    : undefined;
}

function dockerFolder(): string {
  return process.env.DOCKER_CONFIG ?? join(userHome() ?? "/", ".docker");
}

/** Where buildx writes down a builder. */
function instanceFile(name: string): string {
  return join(process.env.BUILDX_CONFIG ?? join(dockerFolder(), "buildx"), "instances", name);
}

/** A BuildKit of a builder of the driver `remote`. */
export interface RemoteNode {
  /** unix://PATH, tcp://HOST:PORT, or what another program reaches. */
  endpoint: string;
  /** Options of the driver: cacert, cert, key (paths) and servername, for TLS. */
  options: Readonly<Record<string, string>>;
}

/**
 * The nodes of a builder of the driver `remote`; none for other drivers and for a builder that buildx has not written down,
 * and undefined for a file that is not buildx's.
 */
export function remoteNodes(name: string): RemoteNode[] | undefined {
  const file = instanceFile(name);
  if (!existsSync(file)) {
    return [];
  }
  try {
    const { Driver, Nodes } = JSON.parse(readFileSync(file, "utf8"));
    return Driver === "remote"
      ? Nodes.map(({ Endpoint, DriverOpts }: { Endpoint: string; DriverOpts?: Record<string, string> | null }) => ({
          endpoint: String(Endpoint),
          options: DriverOpts ?? {},
        }))
      : [];
  } catch {
    return undefined;
  }
}

function connectionFault(endpoint: string, patience: number): Promise<string | undefined> {
  const { protocol = "", hostname = "", port = "", pathname = "" } = URL.parse(endpoint) ?? {};
  if (protocol !== "unix:" && protocol !== "tcp:") {
    return Promise.resolve(undefined); // reached through another program, which tells what is wrong
  }
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, "");
    const socket = protocol === "unix:" ? connect(decodeURI(pathname)) : connect(Number(port), host);
    const end = (fault?: string) => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(patience, () => end("no answer"));
    socket.on("connect", () => end());
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
