import { formatBytes } from "../artifacts/text.ts";
import { keepBase } from "./base.ts";
import { keepBuildCache } from "./buildCache.ts";
import { knownPorts } from "./ports.ts";
import { Failure, say } from "./say.ts";
import { machineCache, share } from "./sharedCache.ts";
import { isLocal } from "./stackConfig.ts";
import { keepArtifacts } from "./standins/models/models.ts";
import { pulumiTools, rootlessTools, serviceTools } from "./tools.ts";

/**
 * Copies what was made here to the machine's cache, from which each user's clones take it: built tools, the base image, the
 * shape predictor, and what the stack's release was built from.
 *
 * @throws Failure where it may not be written, or would not be trusted
 */
export async function shareAll(stack: string): Promise<void> {
  for (const tool of [...serviceTools, ...rootlessTools, ...pulumiTools]) {
    await tool.keep?.();
  }
  await keepBase();
  await keepArtifacts();
  const ports = knownPorts();
  if (isLocal(stack) && ports) {
    await keepBuildCache(stack, ports);
  }
  const folder = machineCache();
  let shared: Awaited<ReturnType<typeof share>>;
  try {
    shared = await share();
  } catch (error) {
    throw new Failure(
      `${folder} cannot be filled for the users of this machine: ${(error as Error).message}. Run \`make share\` as root, ` +
        "or name another folder with FACECRAFT_SHARED_CACHE, here and where it is used.",
    );
  }
  if (shared.entries === 0) {
    throw new Failure("There is nothing to share yet; run `make up` first.");
  }
  say(`${shared.entries} things, ${formatBytes(shared.bytes)}, are in ${folder} for every user of this machine`);
}
