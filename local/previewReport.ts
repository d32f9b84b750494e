import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interactive, output } from "./exec.ts";
import { root, userHome } from "./paths.ts";
import { backend, pulumi } from "./pulumi.ts";
import { say } from "./say.ts";

/** The policy pack, in the form that needs no language host. */
export const policyPack = ["--policy-pack", join(root, "policy/index.ts")];

/** Where reports are written. */
export const reports = join(root, ".facecraft/preview");

/** Puts a report in place that says that the preview did not finish, so that nobody takes the last one for this one's. */
export async function beginReport(stack: string): Promise<void> {
  // Loaded when it is needed: no other command is.
  const { unfinishedReport } = await import("../reports/preview/report.ts");
  const { writeReport } = await import("../reports/preview/write.ts");
  await writeReport(reports, unfinishedReport(stack));
}

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
    // With a refresh, as `make up` has one: what is not as the last update left it is part of the plan.
    const preview = ["preview", "--refresh", "--event-log", log, ...policyPack, ...args];
    const code = await pulumi(preview, debug);
    const report = [join(root, "scripts/preview-report.ts"), stack, log, reports, String(code)];
    return (await interactive(process.execPath, report, { cwd: root, env })) || code;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Whether Pulumi has a place for state: a backend of the user's choice, or a login. */
export function hasBackend(env: NodeJS.ProcessEnv): boolean {
  const folder = env.PULUMI_CREDENTIALS_PATH ?? env.PULUMI_HOME ?? join(userHome ?? "/", ".pulumi");
  const credentials = join(folder, "credentials.json");
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
    const { withoutSecrets } = await import("./stackFile.ts");
    const file = `Pulumi.${stack}.yaml`;
    await writeFile(config, withoutSecrets(await readFile(join(root, file), "utf8"), file));
    const own = { ...env, PULUMI_BACKEND_URL: backend(work), PULUMI_CONFIG_PASSPHRASE: "" };
    // In the copy's folder, because a new stack writes to its config.
    await output("pulumi", ["stack", "init", stack], { cwd: work, env: own });
    return await previewWithReport(stack, ["--stack", stack, "--config-file", config, "--non-interactive"], own);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
