import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dockerBuilderEnvironment, makesImage, whyNoDockerBuilder } from "./dockerBuilder.ts";
import { programs } from "./dockerImage.ts";
import { local, paths } from "./paths.ts";
import { replaceText } from "./replaceText.ts";
import { type Lack, sentences, whatRootlessLacks } from "./rootless.ts";
import { Failure } from "./say.ts";
import { serviceTools, type Tool } from "./tools.ts";

/**
 * What builds the images of the local stacks: our BuildKit as root, our BuildKit as an ordinary user in a user namespace, or a
 * BuildKit in a container of the user's Docker.
 */
export type BuilderKind = (typeof builderKinds)[number];
export const builderKinds = ["root", "rootless", "docker"] as const;

const file = join(local, "builder");

/**
 * The builder that FACECRAFT_BUILDER names, else the best that can run here: as root, else rootless, else with Docker.
 *
 * @throws Failure with what to do where none of them can run; nothing has been downloaded by then
 */
export async function chooseBuilder(): Promise<BuilderKind> {
  const asked = askedBuilder();
  if (asked !== undefined) {
    const why = await obstacles[asked]();
    if (why !== undefined) {
      throw new Failure(`FACECRAFT_BUILDER is ${asked}, but ${sentences(why)}`);
    }
    return asked;
  }
  if ((await obstacles.root()) === undefined) {
    return "root";
  }
  const lack = await obstacles.rootless();
  if (lack === undefined) {
    return "rootless";
  }
  const noDocker = await obstacles.docker();
  if (noDocker === undefined) {
    return "docker";
  }
  throw new Failure(
    `The local stacks bring their own BuildKit, and nothing here can run it for an ordinary user: ${sentences(lack)} ` +
      `The other ways: run this as root on Linux, start Docker (${noDocker.reasons}), or use the stack cpu with a buildx ` +
      "builder of your own.",
  );
}

/** @throws Failure for a value that is no builder */
export function askedBuilder(): BuilderKind | undefined {
  const asked = process.env.FACECRAFT_BUILDER;
  if (!asked) {
    return undefined;
  }
  if (!builderKinds.some((kind) => kind === asked)) {
    throw new Failure(
      `FACECRAFT_BUILDER is "${asked}"; it must be ${builderKinds.slice(0, -1).join(", ")} or ${builderKinds.at(-1)}.`,
    );
  }
  return asked as BuilderKind;
}

/** Writes down which builder is started, so that later commands do not take another beside it. */
export function rememberBuilder(kind: BuilderKind): Promise<void> {
  return replaceText(file, `${kind}\n`);
}

/** The builder that was started last. */
export function rememberedBuilder(): BuilderKind | undefined {
  try {
    const written = readFileSync(file, "utf8").trim();
    return builderKinds.find((kind) => kind === written);
  } catch {
    return undefined;
  }
}

/** What reaches the builder that was started last, for buildctl: BUILDKIT_HOST, and what else that takes. */
export function builderEnvironment(): { BUILDKIT_HOST: string; DOCKER_HOST?: string } {
  return rememberedBuilder() === "docker"
    ? dockerBuilderEnvironment()
    : { BUILDKIT_HOST: `unix://${paths.buildkitSocket}` };
}

/** The tools of the local services with such a builder: in Docker, BuildKit's own image has the builder's, where it can be had. */
export async function toolsOf(kind: BuilderKind): Promise<Tool[]> {
  const inDocker = kind === "docker" && !(await makesImage());
  return serviceTools.filter(({ name }) => !inDocker || !programs.includes(name) || name === "buildctl");
}

/** What keeps each of them from running here. */
const obstacles: Record<BuilderKind, () => Promise<Lack | undefined>> = {
  async root() {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
      return { reasons: ["this is not root on Linux"], command: "" };
    }
    return mayMount() ? undefined : { reasons: ["this root may not mount (it lacks CAP_SYS_ADMIN)"], command: "" };
  },
  async rootless() {
    if (process.platform !== "linux") {
      return { reasons: ["user namespaces are Linux's"], command: "" };
    }
    if (process.getuid?.() === 0) {
      return { reasons: ["this is root, not an ordinary user"], command: "" };
    }
    return whatRootlessLacks();
  },
  async docker() {
    const why = await whyNoDockerBuilder();
    return why === undefined ? undefined : { reasons: [why], command: "" };
  },
};

/** Whether root is allowed what a builder does: in many a container it is not. */
function mayMount(): boolean {
  const sysAdmin = 21n;
  const [, capabilities = "0"] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return ((BigInt(`0x${capabilities}`) >> sysAdmin) & 1n) === 1n;
}
