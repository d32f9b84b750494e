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
  const docker = process.env.DOCKER_CONFIG ?? join(userHome() ?? "/", ".docker");
  const file = join(process.env.BUILDX_CONFIG ?? join(docker, "buildx"), "instances", name);
  if (!existsSync(file)) {
    const context = createHash("sha256").update(name).digest("hex");
    return name === "default" || existsSync(join(docker, "contexts", "meta", context, "meta.json"))
      ? undefined
      : "but buildx has no such builder; see `docker buildx ls`, or make one with `docker buildx create`";
  }
  const endpoints = remoteEndpoints(file);
  if (endpoints === undefined) {
    return `but what buildx has written down of it, ${file}, cannot be read; make it again with \`docker buildx create\``;
  }
  const faults = await Promise.all(endpoints.map((endpoint) => connectionFault(endpoint, patience)));
  return endpoints.length > 0 && faults.every((fault) => fault !== undefined)
    ? `but no BuildKit answers at ${endpoints.map((endpoint, i) => `${endpoint} (${faults[i]})`).join(", ")}; start it`
    : undefined;
}

/** Where a builder of the driver `remote` listens; none for other drivers, and undefined for a file that is not buildx's. */
function remoteEndpoints(file: string): string[] | undefined {
  try {
    const { Driver, Nodes } = JSON.parse(readFileSync(file, "utf8"));
    return Driver === "remote" ? Nodes.map(({ Endpoint }: { Endpoint: string }) => String(Endpoint)) : [];
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
