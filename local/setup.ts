import { join } from "node:path";
import { variantNames, variants } from "../plan/variants.ts";
import { dropGoCaches, isBuilding, stopGoBuilds } from "./acquire.ts";
import { prepareBase, publishBase } from "./base.ts";
import { seedBuildCache } from "./buildCache.ts";
import { type BuilderKind, toolsOf } from "./builder.ts";
import { locked } from "./leftovers.ts";
import { paths } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { replaceText } from "./replaceText.ts";
import { say } from "./say.ts";
import { reserve, startServices } from "./services.ts";
import { localBuilder } from "./stackConfig.ts";
import { makeArtifacts } from "./standins/models/models.ts";
import { certificate } from "./tls.ts";
import { announce, obtainAll, pulumiTools, rootlessTools, signingTools, type Tool } from "./tools.ts";
import { makeWheels } from "./wheels.ts";

/**
 * Sees to everything that the local stacks need and lets the services run. Fast when all is there.
 *
 * @param stack whose image will be built: what a clone has kept of the builder's cache is taken for that
 * @param more tools that not every stack needs
 * @param served called where the services run, but the engine is still being built
 */
export async function setUp(
  stack: string,
  more: readonly Tool[] = [],
  served: (ports: Ports) => void = () => {},
): Promise<Ports> {
  sayWhatIsEmulated();
  // Clones may share the tools, and two of them may start at once.
  return locked(async () => {
    const { builder, ports } = await reserve();
    await certificate();
    try {
      // The services first: while the engine is built, they are started, and can be used.
      const own = obtainAll(builder === "rootless" ? rootlessTools : []);
      const services = own.then(() => obtainServices(builder, more));
      const engine = services.then(() => obtainAll(pulumiTools));
      const up = bringUp(stack, builder, ports, { own, services }).then(() => isBuilding() && served(ports));
      await Promise.all([engine, up]);
    } catch (error) {
      // It takes minutes, and nobody waits for it any more.
      stopGoBuilds();
      throw error;
    }
    await dropGoCaches();
    return ports;
  });
}

async function obtainServices(builder: BuilderKind, more: readonly Tool[]): Promise<void> {
  const tools = [...(await toolsOf(builder)), ...more];
  announce([...tools, ...pulumiTools]);
  await obtainAll(tools);
}

/** The builder, the registry, and what the images are made of: an ordinary user makes the base with tools of his own. */
async function bringUp(
  stack: string,
  builder: BuilderKind,
  ports: Ports,
  { own, services }: { own: Promise<void>; services: Promise<void> },
): Promise<void> {
  await Promise.all([
    services,
    own.then(() => prepareBase(builder)),
    makeArtifacts(),
    makeWheels(),
    seedBuildCache(stack),
  ]);
  await startServices(ports, builder);
  await Promise.all([registerBuilder(builder), publishBase(ports, builder)]);
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

/** A buildx builder of the driver `remote`: no Docker takes part. One in Docker is another, and registered by who starts it. */
async function registerBuilder(builder: BuilderKind): Promise<void> {
  if (builder === "docker") {
    return;
  }
  const endpoint = `unix://${paths.buildkitSocket}`;
  const node = { Name: `${localBuilder}0`, Endpoint: endpoint };
  const file = join(paths.buildx, "instances", localBuilder);
  await replaceText(file, JSON.stringify({ Name: localBuilder, Driver: "remote", Nodes: [node] }));
}
