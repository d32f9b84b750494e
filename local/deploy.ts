import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dockerEnvironment } from "./docker.ts";
import { output } from "./exec.ts";
import { freePort } from "./freePort.ts";
import type { LockedStack } from "./locks.ts";
import { paths, root } from "./paths.ts";
import { Failure } from "./say.ts";
import { claim } from "./unlock.ts";
import { runUpdate } from "./updates.ts";

const folder = join(root, "deploy/compose");
const readySeconds = 60;
const unattended = ["--yes", "--skip-preview", "--non-interactive", "--suppress-progress", "--suppress-outputs"];

/**
 * Runs the image of a local stack on this machine's Docker host, through the deploy stack of the same name, and asks it
 * whether it is ready.
 *
 * @param env the engine's environment, see localEnvironment
 */
export async function deploy(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  await claim(deployed(stack), "PROJECT=deploy make unlock");
  const own = await dockerEnvironment(env);
  await output("pulumi", ["stack", "select", "--create", stack], { cwd: await bare(), env: own });
  const config = await writeConfig(stack);
  const code = await runUpdate(["up", "--stack", stack, "--config-file", config, ...unattended], {
    cwd: folder,
    env: own,
  });
  if (code !== 0) {
    return code;
  }
  const url = await output("pulumi", ["stack", "output", "url", "--stack", stack], { cwd: folder, env: own });
  console.log(`${url.trim()}/ready: ${await ready(url.trim())}`);
  console.log(`\n${await where(url.trim())} \`make undeploy${stack === "local" ? "" : ` STACK=${stack}`}\` stops it.`);
  return 0;
}

/** Where it runs, and whether there is a page to look at: not every application has one. */
async function where(url: string): Promise<string> {
  const page = await fetch(`${url}/`, { signal: AbortSignal.timeout(15_000) }).catch(() => undefined);
  const found = page?.ok && page.headers.get("content-type")?.startsWith("text/html");
  return found ? `Facecraft runs at ${url}/ where a browser can try a portrait.` : `Facecraft runs at ${url}.`;
}

/** Where the locks of a local deploy stack lie. */
export function deployed(stack: string): LockedStack {
  return { state: paths.state, project: "facecraft-deploy", stack };
}

/** Updates a deploy stack that is not local: its config stands in deploy/compose/Pulumi.<stack>.yaml. */
export async function deployElsewhere(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  const yes = process.stdout.isTTY ? [] : ["--yes", "--non-interactive"];
  const code = await runUpdate(["up", "--stack", stack, "--suppress-outputs", ...yes], { cwd: folder, env });
  if (code === 0) {
    const url = await output("pulumi", ["stack", "output", "url", "--stack", stack], { cwd: folder, env });
    console.log(`\nFacecraft runs at ${url.trim()}, as its Docker host sees it.`);
  }
  return code;
}

/** Stops what deploy started; its volumes stay. */
export async function undeploy(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  await claim(deployed(stack), "PROJECT=deploy make unlock");
  const own = await dockerEnvironment(env);
  const config = await writeConfig(stack);
  return runUpdate(["destroy", "--stack", stack, "--config-file", config, ...unattended], {
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
  const { formatStackFile, parseStackFile } = await import("./stackFile.ts");
  const file = join(await bare(), `Pulumi.${stack}.yaml`);
  const { encryptionsalt, config = {} } = existsSync(file) ? parseStackFile(readFileSync(file, "utf8"), file) : {};
  const { FACECRAFT_DEPLOY_PORT: wanted } = process.env;
  if (wanted && !/^\d+$/.test(wanted)) {
    throw new Failure(`FACECRAFT_DEPLOY_PORT is "${wanted}"; it must be the number of a port.`);
  }
  const kept = config["facecraft-deploy:port"];
  const port = Number(wanted || (typeof kept === "number" && kept) || (await freePort()));
  const content = {
    ...(encryptionsalt && { encryptionsalt }),
    config: {
      "facecraft-deploy:from": `organization/facecraft/${stack}`,
      "facecraft-deploy:project": `facecraft-${stack}`,
      "facecraft-deploy:port": port,
    },
  };
  await writeFile(file, formatStackFile(content));
  return file;
}

/** Waits for an image that ran before and whose daemon has only just been started again. */
async function ready(url: string): Promise<string> {
  const until = performance.now() + readySeconds * 1000;
  for (;;) {
    const answer = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(15_000) }).then(
      async (response) => ({ ok: response.ok, said: `${response.status} ${await response.text()}` }),
      (error: Error) => ({ ok: false, said: ((error.cause as Error | undefined) ?? error).message }),
    );
    if (answer.ok) {
      return answer.said;
    }
    if (performance.now() > until) {
      throw new Failure(`${url}/ready is not ready after ${readySeconds} s: ${answer.said}`);
    }
    await sleep(500);
  }
}
