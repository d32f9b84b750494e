import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RemoteNode } from "./builder.ts";
import { run } from "./devices.ts";

/** A GPU as the steps of a build get it. */
export interface GpuIdentity {
  /** Of GPU and driver, as people read it: `NVIDIA A10, driver 535.104.05`. */
  name: string;
  /** The name, and a digest of all that the device brings into a step: what the cache key of a proof on it must have. */
  identity: string;
  /** The Dockerfile frontend that takes devices, where the builder's own does not. */
  frontend?: string;
}

/** Whom to ask, and with what. */
export interface Question {
  /** Name of a buildx builder; default: the one that buildx has selected. */
  builder: string | undefined;
  /** Its node that has listed the GPU, where that is reached without buildx. */
  node?: RemoteNode | undefined;
  /** The image that the steps run in. */
  base: string;
  /** A Dockerfile frontend that takes devices, by its digest. */
  frontend: string;
}

const dockerfile = { folder: "docker", name: "Dockerfile.gpu-identity" };
const scripts = "docker/scripts";
// The first time, the base image is downloaded, which the build would do otherwise.
const patience = 30 * 60_000;

/**
 * Lets two steps run on the builder, with the GPU and without, and compares what they have. BuildKit's own cache key of a step
 * has the name of a device and nothing more, so a proof on one GPU would pass for another's.
 *
 * @returns the GPU, or why nothing can be said, in words that follow a colon
 */
export async function identifyGpu({ base, frontend, ...place }: Question): Promise<GpuIdentity | { fault: string }> {
  const out = await mkdtemp(join(tmpdir(), "facecraft-gpu-"));
  try {
    const own = await build(place, { BASE_IMAGE: base }, out);
    if (own === undefined) {
      return { ...(await read(out)) };
    }
    if (!own.includes("device feature is only supported in Dockerfile frontend")) {
      return { fault: own };
    }
    const fault = await build(place, { BASE_IMAGE: base, BUILDKIT_SYNTAX: frontend }, out);
    if (fault === undefined) {
      return { ...(await read(out)), frontend };
    }
    const reason = fault.split(`${frontend}: `).at(-1);
    return { fault: `its own Dockerfile frontend takes no devices, and ${frontend} does not come: ${reason}` };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** Builds without the cache, with the client that is there. @returns why that failed */
async function build(
  { builder, node }: Pick<Question, "builder" | "node">,
  args: Record<string, string>,
  out: string,
): Promise<string | undefined> {
  for (const [program, words] of [
    ...(node ? [["buildctl", buildctl(node, args, out)] as const] : []),
    ["docker", buildx(builder, args, out)] as const,
  ]) {
    const { code, text } = await run(program, words, patience);
    if (code !== undefined) {
      return code === 0 ? undefined : whyFailed(text);
    }
  }
  const clients = node ? "buildctl or docker with buildx" : "docker with buildx";
  return `a build has to ask it, and that takes ${clients} on the PATH`;
}

function buildctl({ endpoint, options }: RemoteNode, args: Record<string, string>, out: string): string[] {
  const { cacert, cert, key, servername } = options;
  return [
    ...["--addr", endpoint],
    ...Object.entries({ tlscacert: cacert, tlscert: cert, tlskey: key, tlsservername: servername }).flatMap(
      ([name, value]) => (value === undefined ? [] : [`--${name}`, value]),
    ),
    ...["build", "--progress=plain", "--no-cache", "--frontend", "dockerfile.v0"],
    ...["--local", `context=${scripts}`, "--local", `dockerfile=${dockerfile.folder}`],
    ...["--opt", `filename=${dockerfile.name}`],
    ...Object.entries(args).flatMap(([name, value]) => ["--opt", `build-arg:${name}=${value}`]),
    ...["--output", `type=local,dest=${out}`],
  ];
}

function buildx(builder: string | undefined, args: Record<string, string>, out: string): string[] {
  return [
    ...["buildx", "build", ...(builder === undefined ? [] : ["--builder", builder])],
    ...["--progress=plain", "--no-cache", "--provenance=false", "--file", join(dockerfile.folder, dockerfile.name)],
    ...Object.entries(args).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]),
    ...["--output", `type=local,dest=${out}`, scripts],
  ];
}

/** The last words of a builder, without its own marks. */
function whyFailed(text: string): string {
  const last = text.trim().split("\n").filter(Boolean).at(-1) ?? "";
  return last.replace(/^(error|ERROR): /, "").replace(/^failed to (build|solve): /, "") || "the builder says nothing";
}

async function read(out: string): Promise<GpuIdentity> {
  const linesOf = async (name: string) => (await readFile(join(out, name), "utf8")).trim().split("\n");
  const [having, without] = await Promise.all([linesOf("with"), linesOf("without")]);
  return compare(having, without);
}

/** What a step with the device says and one without does not; the first line has the names of GPU and driver. */
export function compare(having: readonly string[], without: readonly string[]): GpuIdentity {
  const [name = ""] = having;
  const brought = having.slice(1).filter((line) => !without.includes(line));
  const digest = createHash("sha256").update([name, ...brought.sort()].join("\n"));
  return { name, identity: `${name}, ${digest.digest("hex").slice(0, 16)}` };
}
