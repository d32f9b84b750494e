import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { interactive, output } from "./exec.ts";
import { root } from "./paths.ts";
import { pulumi } from "./pulumi.ts";
import { say } from "./say.ts";

/** The policy pack, in the form that needs no language host. */
export const policyPack = ["--policy-pack", join(root, "policy/index.ts")];

/** Where reports are written. */
export const reports = join(root, ".facecraft/preview");

/**
 * Previews a stack under the release policy and writes the report, as Markdown and JSON.
 *
 * @param args the engine's arguments that name the stack and its config
 * @returns 0 when the preview succeeded and every rule holds
 */
export async function previewWithReport(
  stack: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const work = await mkdtemp(join(tmpdir(), "facecraft-preview-"));
  try {
    // The log also holds the engine's debug messages, inputs included: it is for the owner's eyes, and does not stay.
    const log = join(work, "events.json");
    const debug = { ...env, PULUMI_DEBUG_COMMANDS: "true" };
    const previewed = await pulumi(["preview", "--event-log", log, ...policyPack, ...args], debug);
    if (!existsSync(log)) {
      return previewed || 1;
    }
    const reported = await interactive("node", [join(root, "preview/write-report.ts"), stack, log, reports], {
      cwd: root,
      env,
    });
    return previewed || reported;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Whether Pulumi has a place for state: a backend of the user's choice, or a login. */
export function hasBackend(env: NodeJS.ProcessEnv): boolean {
  const credentials = join(env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "credentials.json");
  return Boolean(env.PULUMI_BACKEND_URL || env.PULUMI_ACCESS_TOKEN) || existsSync(credentials);
}

/**
 * Previews a stack without an account: state in a folder that is thrown away, and a copy of the stack's config without its
 * secrets, which only the real backend could decrypt. A preview needs none: it pushes nothing.
 */
export async function previewWithoutBackend(stack: string, env: NodeJS.ProcessEnv): Promise<number> {
  say("no Pulumi backend is set and nobody is logged in: this preview's state is thrown away, so all of it is new");
  const work = await mkdtemp(join(tmpdir(), "facecraft-state-"));
  try {
    const config = join(work, `Pulumi.${stack}.yaml`);
    await copyFile(join(root, "Pulumi.yaml"), join(work, "Pulumi.yaml"));
    await writeFile(config, withoutSecrets(await readFile(join(root, `Pulumi.${stack}.yaml`), "utf8")));
    const own = { ...env, PULUMI_BACKEND_URL: `file://${work}`, PULUMI_CONFIG_PASSPHRASE: "" };
    // In the copy's folder, because a new stack writes to its config.
    await output("pulumi", ["stack", "init", stack], { cwd: work, env: own });
    return await previewWithReport(stack, ["--stack", stack, "--config-file", config, "--non-interactive"], own);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Leaves out each top-level config value that holds a `secure:` part, and how it was encrypted. */
export function withoutSecrets(text: string): string {
  const blocks = text.split(/^(?=\S| {2}\S)/m);
  return blocks.filter((block) => !/\bsecure:|^(encryptionsalt|encryptedkey|secretsprovider):/m.test(block)).join("");
}
