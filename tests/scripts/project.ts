import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { noise, serve, sha256, staticFile, type TestServer, temporaryFolder } from "../artifacts/server.ts";

const script = fileURLToPath(new URL("../../scripts/update-checksums.ts", import.meta.url));
export const bodies: Record<string, Buffer> = {
  "/shape.dat": noise(50_000),
  "/codeformer.pth": noise(70_000),
  "/u2net.onnx": noise(60_000),
};
export const [shape, codeformer, u2net] = Object.values(bodies).map(sha256) as [string, string, string];
export const stale = "0".repeat(64);

export function dockerfile(url: string, pins: [string, string, string]): string {
  return [
    "# A comment: ARG CODEFORMER_SHA256=leave-me",
    "FROM scratch AS shape-predictor",
    `ARG SHAPE_PREDICTOR_URL=${url}/shape.dat`,
    `ARG SHAPE_PREDICTOR_SHA256=${pins[0]}`,
    `ARG SHAPE_PREDICTOR_DOWNLOAD_SHA256=${pins[0]}`,
    `ARG CODEFORMER_URL=${url}/codeformer.pth`,
    `ARG CODEFORMER_SHA256="${pins[1]}"   `,
    `ARG CODEFORMER_DOWNLOAD_SHA256=\${CODEFORMER_SHA256}`,
    `ARG U2NET_URL=${url}/u2net.onnx`,
    `ARG U2NET_SHA256=${pins[2]}`,
    "FROM scratch",
    `ARG CODEFORMER_SHA256="${pins[1]}"\r`,
  ].join("\n");
}

export interface Project {
  server: TestServer;
  folder: string;
  paths: [string, string];
  texts(): string[];
  start(env?: Record<string, string>): ReturnType<typeof spawn>;
  run(env?: Record<string, string>): Promise<{ code: number; out: string; err: string }>;
}

/** Two Dockerfiles, a server that serves the models they name, and the script over them. */
export async function project(cpu: [string, string, string], gpu = cpu): Promise<Project> {
  const server = await serve((request, ...rest) => staticFile(bodies[request.url!]!)(request, ...rest));
  const folder = temporaryFolder();
  const paths: [string, string] = [join(folder, "Dockerfile.cpu"), join(folder, "Dockerfile.gpu")];
  writeFileSync(paths[0], dockerfile(server.url, cpu));
  writeFileSync(paths[1], dockerfile(server.url, gpu));
  const start = (env = {}) =>
    spawn(process.execPath, [script, ...paths], {
      env: { ...process.env, MODEL: "", CHECK: "", FORCE: "", FACECRAFT_CACHE: join(folder, "cache"), ...env },
    });
  return {
    server,
    folder,
    paths,
    start,
    texts: () => paths.map((path) => readFileSync(path, "utf8")),
    async run(env) {
      const child = start(env);
      let [out, err] = ["", ""];
      child.stdout!.on("data", (text) => (out += text));
      child.stderr!.on("data", (text) => (err += text));
      const [code] = await once(child, "close");
      return { code, out, err };
    },
  };
}
