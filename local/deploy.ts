import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dockerEnvironment } from "./docker.ts";
import { interactive, output } from "./exec.ts";
import { freePort } from "./freePort.ts";
import { paths, root } from "./paths.ts";
import { Failure } from "./say.ts";

const folder = join(root, "deploy");
const unattended = ["--yes", "--skip-preview", "--non-interactive", "--suppress-progress"];

/**
 * Runs the image of a local stack on this machine's Docker host, through the deploy stack of the same name, and asks it
 * whether it is ready.
 *
 * @param env the engine's environment, see localEnvironment
 */
export async function deploy(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  const own = await dockerEnvironment(env);
  await output("pulumi", ["stack", "select", "--create", stack], { cwd: await bare(), env: own });
  const config = await writeConfig(stack);
  const code = await interactive("pulumi", ["up", "--stack", stack, "--config-file", config, ...unattended], {
    cwd: folder,
    env: own,
  });
  if (code !== 0) {
    return code;
  }
  const url = await output("pulumi", ["stack", "output", "url", "--stack", stack], { cwd: folder, env: own });
  console.log(`${url.trim()}/ready: ${await ready(url.trim())}`);
  return 0;
}

/** Updates a deploy stack that is not local: its config stands in deploy/Pulumi.<stack>.yaml. */
export function deployElsewhere(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  const yes = process.stdout.isTTY ? [] : ["--yes", "--non-interactive"];
  return interactive("pulumi", ["up", "--stack", stack, ...yes], { cwd: folder, env });
}

/** Stops what deploy started; its volumes stay. */
export async function undeploy(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  const own = await dockerEnvironment(env);
  const config = await writeConfig(stack);
  return interactive("pulumi", ["destroy", "--stack", stack, "--config-file", config, ...unattended], {
    cwd: folder,
    env: own,
  });
}

/** A folder with the project's description and nothing else, because a new stack writes to its config. */
async function bare(): Promise<string> {
  const place = join(paths.config, "deploy");
  await mkdir(place, { recursive: true });
  await writeFile(join(place, "Pulumi.yaml"), readFileSync(join(folder, "Pulumi.yaml")));
  return place;
}

async function writeConfig(stack: string): Promise<string> {
  const file = join(await bare(), `Pulumi.${stack}.yaml`);
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  const salt = /^encryptionsalt: .*$/m.exec(before)?.[0] ?? "";
  const kept = /facecraft-deploy:port: (\d+)/.exec(before)?.[1];
  const port = process.env.FACECRAFT_DEPLOY_PORT ?? kept ?? String(await freePort());
  const values = { from: `organization/facecraft/${stack}`, project: `facecraft-${stack}`, port };
  const lines = Object.entries(values).map(([key, value]) => `  facecraft-deploy:${key}: ${value}`);
  await writeFile(file, `${[salt, "config:", ...lines].filter(Boolean).join("\n")}\n`);
  return file;
}

async function ready(url: string): Promise<string> {
  const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(15_000) });
  const text = await response.text();
  if (!response.ok) {
    throw new Failure(`${url}/ready answered ${response.status}: ${text}`);
  }
  return `${response.status} ${text}`;
}
