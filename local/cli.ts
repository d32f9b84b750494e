// The commands behind the Makefile: `local/run COMMAND`, with the stack's name in STACK. What only one of them needs is
// loaded by it: `make up` with nothing to do shall take no longer than Pulumi does.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ActionableError } from "../artifacts/errors.ts";
import { keepBuildCache } from "./buildCache.ts";
import { builderEnvironment } from "./builder.ts";
import { interactive, output, run } from "./exec.ts";
import type { LockedStack } from "./locks.ts";
import { local, paths, root } from "./paths.ts";
import { knownPorts, type Ports } from "./ports.ts";
import { beginReport, hasBackend, policyPack, previewWithoutBackend, previewWithReport } from "./previewReport.ts";
import { ensureStack, isAsLeft, localEnvironment, pulumi, stackOutputs, toolEnvironment } from "./pulumi.ts";
import { say } from "./say.ts";
import { runningServices, stopServices } from "./services.ts";
import { setUp, setUpPulumi, setUpSigning } from "./setup.ts";
import { asksForSigning, isLocal, renderConfig } from "./stackConfig.ts";
import { signingTools } from "./tools.ts";
import { endLeftovers, markChildren, sayEnded } from "./updates.ts";

const stack = process.env.STACK || "local";

/** Brings up what the stack needs; returns the arguments and the environment for the engine. */
async function prepare(served?: (ports: Ports) => void): Promise<{ args: string[]; env: NodeJS.ProcessEnv }> {
  const more = asksForSigning(stack) ? signingTools : [];
  if (!isLocal(stack)) {
    await setUpPulumi(more);
    return { args: ["--stack", stack], env: { ...process.env, ...toolEnvironment() } };
  }
  const ports = await setUp(stack, more, served);
  const file = await renderConfig(stack, ports);
  const env = await localEnvironment();
  await ensureStack(stack, env);
  const plain = process.stdout.isTTY ? [] : ["--non-interactive", "--suppress-progress"];
  return { args: ["--stack", stack, "--config-file", file, ...plain], env };
}

/** Like `prepare`, for what changes the stack's state: refuses while another update holds it, and clears up after a killed one. */
async function prepareUpdate(served?: (ports: Ports) => void): Promise<Awaited<ReturnType<typeof prepare>>> {
  if (isLocal(stack)) {
    const { claim } = await import("./unlock.ts");
    await claim(await localStack(), stack === "local" ? "make unlock" : `make unlock STACK=${stack}`);
  }
  return prepare(served);
}

/** Lets the builder begin with the image while the engine is still being built. Ends with this command, whatever becomes of it. */
function headStart(ended: AbortSignal): (ports: Ports) => void {
  return (ports) => {
    say("building what the image is made of, until the engine is there to go on with it");
    renderConfig(stack, ports)
      .then(async (file) => {
        const env = { ...(await localEnvironment()), ...builderEnvironment() };
        const { text } = await run("node", ["local/headStart.ts", stack, file], { cwd: root, env, signal: ended });
        await writeFile(join(local, "run", "head-start.log"), text);
      })
      .catch(() => {});
  };
}

async function localStack(): Promise<LockedStack> {
  return process.env.PROJECT === "deploy"
    ? (await import("./deploy.ts")).deployed(stack)
    : { state: paths.state, project: "facecraft", stack };
}

/** After an update: keeps what it has built for other clones, and says what it has published and what can be done with that. */
async function tellPublished(env: NodeJS.ProcessEnv): Promise<number> {
  const ports = knownPorts();
  if (isLocal(stack) && ports) {
    await keepBuildCache(stack, ports);
  }
  const { nextSteps, published } = await import("./nextSteps.ts");
  const outputs = await stackOutputs(stack, isLocal(stack), env);
  console.log(nextSteps(await published(stack, outputs)).join("\n"));
  return 0;
}

const commands: Record<string, () => Promise<number>> = {
  async up() {
    const ended = new AbortController();
    try {
      // Asked while the set-up looks whether all is there.
      const asLeft = isLocal(stack) && process.env.REFRESH !== "1" && isAsLeft(stack).catch(() => false);
      const { args, env } = await prepareUpdate(headStart(ended.signal));
      // With a refresh, so that a model that upstream has replaced, or an image that is gone, does not stay unseen.
      const refresh = (await asLeft) ? [] : ["--refresh"];
      const code = await pulumi(["up", ...refresh, "--suppress-outputs", ...policyPack, ...unattended(), ...args], env);
      return code === 0 ? await tellPublished(env) : code;
    } finally {
      ended.abort();
    }
  },

  async preview() {
    await beginReport(stack);
    const { args, env } = await prepare();
    return isLocal(stack) || hasBackend(env) ? previewWithReport(stack, args, env) : previewWithoutBackend(stack, env);
  },

  async refresh() {
    const { args, env } = await prepareUpdate();
    return pulumi(["refresh", ...unattended(), ...args], env);
  },

  /** Changes nothing. 0 when everything is as the last update left it, 2 when something is not, 3 when that is not known. */
  async drift() {
    const { drift } = await import("./drift.ts");
    const { env } = await prepare();
    return drift(stack, env);
  },

  /** Runs the stack's image through the deploy stack of the same name. */
  async deploy() {
    const { deploy, deployElsewhere } = await import("./deploy.ts");
    const { env } = await prepare();
    return isLocal(stack) ? deploy(stack, env) : deployElsewhere(stack, env);
  },

  async undeploy() {
    const { undeploy } = await import("./deploy.ts");
    const { env } = await prepare();
    const code = await undeploy(stack, env);
    await stopDocker();
    return code;
  },

  /** Takes a lock off that an update left behind; PROJECT=deploy for the deploy stack of the same name. */
  async unlock() {
    if (isLocal(stack)) {
      const { unlock } = await import("./unlock.ts");
      await unlock(await localStack(), process.env.FORCE === "1");
      return 0;
    }
    // Whose update it is, the stack's own backend knows; it asks before it cancels.
    const yes = process.env.YES === "1" ? ["--yes"] : [];
    return pulumi(["cancel", "--stack", stack, ...yes], await stackEnvironment());
  },

  async outputs() {
    const env = await stackEnvironment();
    return pulumi(["stack", "output", "--json", "--stack", stack], env);
  },

  /** Lets every user of this machine take what was made here; for an administrator. */
  async share() {
    const { shareAll } = await import("./share.ts");
    await shareAll(stack);
    return 0;
  },

  /** Brings up all that the local stacks need, and nothing else. */
  async setup() {
    await setUp(stack);
    return 0;
  },

  async test() {
    const { runTests } = await import("./test.ts");
    return runTests(process.argv.slice(3));
  },

  async down() {
    await stopAll();
    return 0;
  },

  /** ALL=1 for the cache that this user's clones share, too. */
  async clean() {
    const { clean } = await import("./clean.ts");
    await clean({ all: process.env.ALL === "1", stop: stopAll });
    return 0;
  },

  async destroy() {
    const { args, env } = await prepareUpdate();
    const code = await pulumi(["destroy", ...unattended(), ...args], env);
    if (code === 0 && isLocal(stack)) {
      await output("pulumi", ["stack", "rm", stack, "--yes", "--preserve-config"], { cwd: root, env });
      await stopServices();
      await stopDocker();
      const left = await output("pulumi", ["stack", "ls", "--json"], { cwd: root, env });
      if (JSON.parse(left).length === 0) {
        await rm(join(local, "ports.json"), { force: true });
        say(`nothing runs any more; published images stay in ${join(local, "registry")}`);
      }
    }
    return code;
  },

  /** Measures against named rivals; BENCH=program, models, first-release, images or (a quarter of an hour) setup for one part. */
  async bench() {
    await setUp(stack);
    const env = await localEnvironment();
    let worst = 0;
    for (const part of process.env.BENCH ? [process.env.BENCH] : ["program", "models", "first-release", "images"]) {
      worst = Math.max(worst, await script(`bench/${part}.ts`, [], env));
    }
    return worst;
  },

  // These need no tool but Node.js.
  "update-checksums": () => script("scripts/update-checksums.ts"),
  "update-bases": () => script("scripts/update-bases.ts"),
  "update-tools": () => script("local/update-tools.ts"),
  "check-upstream": () => script("scripts/check-upstream.ts"),

  /** Of the image that IMAGE names, by default of the stack's. */
  async "image-report"() {
    const code = await script("scripts/image-report.ts", [await imageRef()], await stackEnvironment());
    if (code === 0) {
      const { openPage } = await import("./openPage.ts");
      openPage(join(root, ".facecraft/image-report/report.html"));
    }
    return code;
  },
  packages: async () => script("scripts/constraints.ts", [await imageRef(), "--proof"], await stackEnvironment()),
  constraints: async () => script("scripts/constraints.ts", [await imageRef()], await stackEnvironment()),
  /** Into the file that OUT names. */
  sbom: async () => script("scripts/sbom.ts", [await imageRef(), ...given(process.env.OUT)], await stackEnvironment()),

  /** Of the images that FROM and TO name, TO by default the stack's. JSON=1 as data. */
  async diff() {
    const to = process.env.TO || (process.env.FROM ? await imageRef() : "");
    const json = process.env.JSON === "1" ? ["--json"] : [];
    return script("scripts/diff.ts", [process.env.FROM ?? "", to, ...json], await stackEnvironment());
  },

  /** With the key of KEY, or IDENTITY and ISSUER, of who must have signed it. */
  async verify() {
    await setUpVerifying();
    return script("scripts/verify.ts", [await imageRef()], await stackEnvironment());
  },

  /** On the local builder, whatever the stack: nothing is pushed. */
  async reproduce() {
    const ports = await setUp(stack);
    await setUpVerifying();
    const env = await stackEnvironment();
    const file = isLocal(stack) ? await renderConfig(stack, ports) : join(root, `Pulumi.${stack}.yaml`);
    const own = isLocal(stack) && { CA_BUNDLE: paths.trustedCas };
    const builder = { ...builderEnvironment(), STACK_FILE: file };
    return script("scripts/reproduce.ts", [await imageRef()], { ...builder, ...own, ...env });
  },

  async doctor() {
    const { doctor } = await import("./doctor.ts");
    return (await doctor()) ? 0 : 1;
  },

  /** For plain `pulumi` commands on the local stacks: eval "$(local/run env)". */
  async env() {
    const env = await localEnvironment();
    const changed = Object.entries(env).filter(([name, value]) => process.env[name] !== value || name === "PATH");
    console.log(changed.map(([name, value]) => `export ${name}='${value}'`).join("\n"));
    console.log(`# config of the stack ${stack}: --config-file ${join(paths.config, `Pulumi.${stack}.yaml`)}`);
    return 0;
  },
};

/** The local stacks ask no questions; others only when told so by YES=1. */
function unattended(): string[] {
  return isLocal(stack) || process.env.YES === "1" ? ["--yes", "--skip-preview"] : [];
}

function script(file: string, args: string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  return interactive(process.execPath, [file, ...args], { cwd: root, env });
}

function stackEnvironment(): Promise<NodeJS.ProcessEnv> | NodeJS.ProcessEnv {
  return isLocal(stack) ? localEnvironment() : { ...process.env, ...toolEnvironment() };
}

/** cosign, where somebody says whose signature counts. */
async function setUpVerifying(): Promise<void> {
  if (process.env.KEY || process.env.IDENTITY) {
    await setUpSigning();
  }
}

/** Stops what runs on this machine, and says what that was. */
async function stopAll(): Promise<void> {
  const running = runningServices().filter(({ pid }) => pid !== undefined);
  await stopServices();
  await stopDocker();
  if (running.length > 0) {
    say(`stopped ${running.map(({ name }) => name).join(", ")}`);
  }
  sayEnded(await endLeftovers());
}

async function stopDocker(): Promise<void> {
  await (await import("./docker.ts")).stopDocker();
}

function given(value: string | undefined): string[] {
  return value ? [value] : [];
}

async function imageRef(): Promise<string> {
  const args = ["stack", "output", "imageRef", "--stack", stack];
  return process.env.IMAGE || (await output("pulumi", args, { cwd: root, env: await stackEnvironment() })).trim();
}

const command = commands[process.argv[2] ?? ""];
if (!command) {
  console.error(`usage: local/run ${Object.keys(commands).join("|")}`);
  process.exit(2);
}
markChildren();
try {
  process.exitCode = await command();
} catch (error) {
  if (!(error instanceof ActionableError)) {
    throw error;
  }
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 1;
}
