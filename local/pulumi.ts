import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { interactive, output } from "./exec.ts";
import { paths, root, tools } from "./paths.ts";
import { certificate } from "./tls.ts";
import { home, pulumiTools, toolPath } from "./tools.ts";

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
    PULUMI_BACKEND_URL: `file://${state}`,
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    BUILDX_CONFIG: paths.buildx,
    SSL_CERT_FILE: bundle,
    NODE_EXTRA_CA_CERTS: bundle,
  };
}

/** What any stack needs to find the tools that were brought up here. A Pulumi of the user's own has its own home. */
export function toolEnvironment(): Record<string, string> {
  const usersPulumi = pulumiTools.some(({ name, find }) => name === "pulumi" && find()?.origin === "yours");
  return {
    ...(!usersPulumi && !process.env.PULUMI_HOME && { PULUMI_HOME: home }),
    PATH: toolPath(),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    FACECRAFT_ROOT: root,
    // Several Node.js processes load the same SDK in every update.
    NODE_COMPILE_CACHE: join(tools, "node-compile-cache"),
  };
}

/** Runs the engine on this terminal and returns its exit code. */
export function pulumi(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return interactive("pulumi", args, { cwd: root, env });
}

/** Makes a local stack where it is not there yet. */
export async function ensureStack(stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  await output("pulumi", ["stack", "select", "--create", stack], { cwd: root, env });
}
