import { existsSync, readFileSync, realpathSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { output, run, which } from "./exec.ts";
import { paths, root, tools, userHome } from "./paths.ts";
import { certificate } from "./tls.ts";
import { pinnedOnly } from "./toolLock.ts";
import { home, pulumiTools, toolPath } from "./tools.ts";
import { runUpdate } from "./updates.ts";

/**
 * The environment in which the engine runs the local stacks: state in a folder, no account, no questions, and the
 * throw-away CA trusted by the engine's plugins and by nothing else.
 *
 * @param state folder that holds the stacks' state
 */
export async function localEnvironment(state: string = paths.state): Promise<NodeJS.ProcessEnv> {
  await mkdir(state, { recursive: true });
  const { bundle } = await certificate();
  return {
    ...process.env,
    ...toolEnvironment(),
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: backend(state),
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    BUILDX_CONFIG: paths.buildx,
    SSL_CERT_FILE: bundle,
    NODE_EXTRA_CA_CERTS: bundle,
    ...pastProxies(process.env),
  };
}

/**
 * A folder of state. What the engine would put beside each file, in a second one that it writes in place, it does not need; a kill
 * leaves that one empty, and then the state itself cannot be read any more ("failed to load checkpoint: EOF").
 */
export function backend(state: string): string {
  return `file://${state}?metadata=skip`;
}

/** The stand-ins are on this machine, where a proxy of the environment would not find them. */
export function pastProxies({ no_proxy, NO_PROXY }: NodeJS.ProcessEnv): Record<string, string> {
  const list = [no_proxy ?? NO_PROXY, "localhost", "127.0.0.1"].filter(Boolean).join(",");
  return { no_proxy: list, NO_PROXY: list };
}

/** What any stack needs to find the tools that were brought up here. A Pulumi of the user's own has its own home. */
export function toolEnvironment(): Record<string, string> {
  const usersPulumi = pulumiTools.some(({ name, find }) => name === "pulumi" && find()?.origin === "yours");
  return {
    ...(!usersPulumi && !process.env.PULUMI_HOME && { PULUMI_HOME: home }),
    ...(pinnedOnly() && onlyOurPlugins()),
    PATH: withThisNode(toolPath()),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    FACECRAFT_ROOT: root,
    // Several Node.js processes load the same SDK in every update.
    NODE_COMPILE_CACHE: join(tools, "node-compile-cache"),
  };
}

/** The engine runs the program, the policy and the dynamic providers with the first Node.js of a path, which must be ours. */
function withThisNode(path: string): string {
  const first = which("node", path);
  const same = first !== undefined && realpathSync(first) === realpathSync(process.execPath);
  return same ? path : `${dirname(process.execPath)}:${path}`;
}

/** For FACECRAFT_PINNED_TOOLS: any Pulumi takes the plugins that were brought up here, and fetches none by itself, unverified. */
function onlyOurPlugins(): Record<string, string> {
  const users = process.env.PULUMI_HOME ?? join(userHome ?? "/", ".pulumi");
  const login = !process.env.PULUMI_CREDENTIALS_PATH && existsSync(join(users, "credentials.json"));
  return {
    PULUMI_HOME: home,
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    ...(login && { PULUMI_CREDENTIALS_PATH: users }),
  };
}

/** Runs the engine on this terminal and returns its exit code. */
export function pulumi(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runUpdate(args, { cwd: root, env });
}

/** Makes a local stack where Pulumi does not keep it yet: only to ask would take a start of the engine. */
export async function ensureStack(stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  if (!existsSync(stateFile(stack))) {
    await output("pulumi", ["stack", "select", "--create", stack], { cwd: root, env });
  }
}

/**
 * A stack's outputs, as the last update has left them. Those of a local stack are read from its state, because to ask would
 * take a start of the engine.
 */
export async function stackOutputs(
  stack: string,
  local: boolean,
  env: NodeJS.ProcessEnv,
): Promise<Record<string, unknown>> {
  if (!local || !existsSync(stateFile(stack))) {
    return JSON.parse(await output("pulumi", ["stack", "output", "--json", "--stack", stack], { cwd: root, env }));
  }
  const { checkpoint } = JSON.parse(readFileSync(stateFile(stack), "utf8"));
  const resources: { type: string; outputs?: Record<string, unknown> }[] = checkpoint.latest?.resources ?? [];
  return resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
}

/**
 * Whether all that a local stack's last update left in the world is known to be as it was. A refresh would then find nothing, and it
 * costs as much as the rest of an update that has nothing to do: the engine starts every plugin once more for it.
 */
export async function isAsLeft(stack: string): Promise<boolean> {
  if (!existsSync(stateFile(stack))) {
    return false;
  }
  const env = await localEnvironment();
  const { code } = await run(process.execPath, [join(root, "local/asLeft.ts"), stateFile(stack)], { cwd: root, env });
  return code === 0;
}

/** Where the engine keeps the state of a local stack: in a folder of its own form (`pkg/backend/diy`). */
function stateFile(stack: string): string {
  return join(paths.state, ".pulumi", "stacks", "facecraft", `${stack}.json`);
}
