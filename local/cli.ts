// The commands behind the Makefile: `local/run COMMAND`, with the stack's name in STACK.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { deploy, deployElsewhere, undeploy } from "./deploy.ts";
import { stopDocker } from "./docker.ts";
import { doctor } from "./doctor.ts";
import { interactive, output } from "./exec.ts";
import { local, paths, root } from "./paths.ts";
import { hasBackend, policyPack, previewWithoutBackend, previewWithReport } from "./previewReport.ts";
import { ensureStack, localEnvironment, pulumi, toolEnvironment } from "./pulumi.ts";
import { Failure, say } from "./say.ts";
import { runningServices, stopServices } from "./services.ts";
import { setUp, setUpPulumi } from "./setup.ts";
import { isLocal, renderConfig } from "./stackConfig.ts";
import { runTests } from "./test.ts";

const stack = process.env.STACK || "local";

/** Brings up what the stack needs; returns the arguments and the environment for the engine. */
async function prepare(): Promise<{ args: string[]; env: NodeJS.ProcessEnv }> {
  if (!isLocal(stack)) {
    await setUpPulumi();
    return { args: ["--stack", stack], env: { ...process.env, ...toolEnvironment() } };
  }
  const ports = await setUp();
  const file = await renderConfig(stack, ports);
  const env = await localEnvironment();
  await ensureStack(stack, env);
  const plain = process.stdout.isTTY ? [] : ["--non-interactive", "--suppress-progress"];
  return { args: ["--stack", stack, "--config-file", file, ...plain], env };
}

const commands: Record<string, () => Promise<number>> = {
  async up() {
    const { args, env } = await prepare();
    // With a refresh, so that a model that upstream has replaced, or an image that is gone, does not stay unseen.
    return pulumi(["up", "--refresh", ...policyPack, ...unattended(), ...args], env);
  },

  async preview() {
    const { args, env } = await prepare();
    return isLocal(stack) || hasBackend(env) ? previewWithReport(stack, args, env) : previewWithoutBackend(stack, env);
  },

  async refresh() {
    const { args, env } = await prepare();
    return pulumi(["refresh", ...unattended(), ...args], env);
  },

  /** Changes nothing, and fails when anything is not as the last update left it. */
  async drift() {
    const { args, env } = await prepare();
    return pulumi(["refresh", "--preview-only", "--expect-no-changes", "--diff", ...args], env);
  },

  /** Runs the stack's image through the deploy stack of the same name. */
  async deploy() {
    const { env } = await prepare();
    return isLocal(stack) ? deploy(stack, env) : deployElsewhere(stack, env);
  },

  async undeploy() {
    const { env } = await prepare();
    const code = await undeploy(stack, env);
    await stopDocker();
    return code;
  },

  async outputs() {
    const env = await stackEnvironment();
    return pulumi(["stack", "output", "--json", "--stack", stack], env);
  },

  /** Brings up all that the local stacks need, and nothing else. */
  async setup() {
    await setUp();
    return 0;
  },

  test: () => runTests(process.argv.slice(3)),

  async down() {
    const running = runningServices().filter(({ pid }) => pid !== undefined);
    await stopServices();
    await stopDocker();
    if (running.length > 0) {
      say(`stopped ${running.map(({ name }) => name).join(", ")}`);
    }
    return 0;
  },

  async destroy() {
    const { args, env } = await prepare();
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

  /** Measures against named rivals; BENCH=program, models or images for one part. */
  async bench() {
    await setUp();
    const env = await localEnvironment();
    let worst = 0;
    for (const part of process.env.BENCH ? [process.env.BENCH] : ["program", "models", "images"]) {
      worst = Math.max(worst, await script(`bench/${part}.ts`, [], env));
    }
    return worst;
  },

  // These need no tool but Node.js.
  "update-checksums": () => script("artifacts/update-checksums.ts"),
  "update-bases": () => script("images/update-bases.ts"),

  /** Of the image that IMAGE names, by default of the stack's. */
  "image-report": async () => script("images/report.ts", [await imageRef()], await stackEnvironment()),
  constraints: async () => script("images/constraints.ts", [await imageRef()], await stackEnvironment()),

  async doctor() {
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

async function imageRef(): Promise<string> {
  const args = ["stack", "output", "imageRef", "--stack", stack];
  return process.env.IMAGE || (await output("pulumi", args, { cwd: root, env: await stackEnvironment() })).trim();
}

const command = commands[process.argv[2] ?? ""];
if (!command) {
  console.error(`usage: local/run ${Object.keys(commands).join("|")}`);
  process.exit(2);
}
try {
  process.exitCode = await command();
} catch (error) {
  if (!(error instanceof Failure)) {
    throw error;
  }
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 1;
}
