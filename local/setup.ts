import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { variantNames, variants } from "../plan/variants.ts";
import { dropGoCaches } from "./acquire.ts";
import { prepareBase, publishBase } from "./base.ts";
import { type BuilderKind, toolsOf } from "./builder.ts";
import { output } from "./exec.ts";
import { locked } from "./leftovers.ts";
import { paths } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { say } from "./say.ts";
import { reserve, startServices } from "./services.ts";
import { localBuilder } from "./stackConfig.ts";
import { makeArtifacts } from "./standins/models/models.ts";
import { certificate } from "./tls.ts";
import { obtainAll, pulumiTools, rootlessTools, signingTools, type Tool } from "./tools.ts";
import { wheelsFolder, wheelsScript } from "./wheels.ts";

/**
 * Sees to everything that the local stacks need and lets the services run. Fast when all is there.
 *
 * @param more tools that not every stack needs
 */
export async function setUp(more: readonly Tool[] = []): Promise<Ports> {
  sayWhatIsEmulated();
  // Clones may share the tools, and two of them may start at once.
  return locked(async () => {
    const { builder, ports } = await reserve();
    await certificate();
    if (builder === "rootless") {
      // The base is made with it, too.
      await obtainAll(rootlessTools);
    }
    const artifacts = Promise.all([prepareBase(builder), makeArtifacts(), makeWheels()]);
    artifacts.catch(() => {}); // awaited below; until then a failure must not end the process
    await obtainAll([...(await toolsOf(builder)), ...more]);
    await artifacts;
    await startServices(ports, builder);
    await Promise.all([registerBuilder(builder), publishBase(ports, builder), obtainAll(pulumiTools)]);
    await dropGoCaches();
    return ports;
  });
}

function sayWhatIsEmulated(): void {
  const own = `linux/${process.arch === "x64" ? "amd64" : process.arch}`;
  const wanted = new Set<string>(variantNames.flatMap((name) => variants[name].platforms));
  if (!wanted.has(own)) {
    say(
      `the images are for ${[...wanted].join(", ")}, and this machine is ${own}: ` +
        "its builder needs emulation (binfmt) and a base of that platform",
    );
  }
}

/** The engine and its plugins only: all that a stack with its own builder and registry needs, and tools that not every one does. */
export async function setUpPulumi(more: readonly Tool[] = []): Promise<void> {
  await locked(async () => {
    await obtainAll([...pulumiTools, ...more]);
    await dropGoCaches();
  });
}

/** What verifies a signature, and nothing else. */
export async function setUpSigning(): Promise<void> {
  await locked(async () => {
    await obtainAll(signingTools);
    await dropGoCaches();
  });
}

async function makeWheels(): Promise<void> {
  const folder = join(paths.wheels, wheelsFolder());
  if (!existsSync(folder)) {
    await mkdir(paths.wheels, { recursive: true });
    const fresh = await mkdtemp(`${folder}.new-`);
    await output("python3", [wheelsScript, fresh]);
    await chmod(fresh, 0o755);
    await rename(fresh, folder);
  }
}

/** A buildx builder of the driver `remote`: no Docker takes part. One in Docker is another, and registered by who starts it. */
async function registerBuilder(builder: BuilderKind): Promise<void> {
  if (builder === "docker") {
    return;
  }
  const endpoint = `unix://${paths.buildkitSocket}`;
  const node = { Name: `${localBuilder}0`, Endpoint: endpoint };
  const file = join(paths.buildx, "instances", localBuilder);
  await mkdir(join(paths.buildx, "instances"), { recursive: true });
  await rm(`${file}.new`, { force: true });
  await writeFile(`${file}.new`, JSON.stringify({ Name: localBuilder, Driver: "remote", Nodes: [node] }));
  await rename(`${file}.new`, file);
}
