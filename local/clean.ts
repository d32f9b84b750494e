import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { formatBytes } from "../artifacts/text.ts";
import { locked, unmountBelow } from "./leftovers.ts";
import { local, paths, root, tools } from "./paths.ts";
import { removeTree } from "./rootless.ts";
import { Failure, say } from "./say.ts";
import { amount, type Place, places, type Size, sizesOf, strangers, whereIs } from "./space.ts";
import { claim } from "./unlock.ts";

/**
 * Removes all that this project has brought to this machine: tools, services with their data, packages, reports. Says what
 * it removes, and how much that is.
 *
 * @param all the cache that this user's clones share, too
 * @param stop ends all that runs
 * @throws Failure where something is in use, or where it cannot be told what is whose
 */
export async function clean({ all, stop }: { all: boolean; stop: () => Promise<void> }): Promise<void> {
  const foreign = strangers();
  if (foreign.tools.length > 0 && tools !== join(root, ".tools")) {
    throw new Failure(
      `FACECRAFT_TOOLS is ${tools}, which also holds ${some(foreign.tools)}. That is not this project's, so nothing was removed: ` +
        "take it away, or remove by yourself what is to go.",
    );
  }
  if (!existsSync(tools)) {
    await remove(all);
    return;
  }
  await locked(async () => {
    await refuseInUse();
    await stop();
    await remove(all);
  });
  for (const folder of [local, tools]) {
    removeEmpty(folder);
  }
}

/** Nobody waits long to see everything removed. */
const patienceMs = 30_000;

async function refuseInUse(): Promise<void> {
  for (const [project, stack, resources] of stacks()) {
    const own = stack === "local" ? "" : ` STACK=${stack}`;
    const unlock = project === "facecraft-deploy" ? `PROJECT=deploy make unlock${own}` : `make unlock${own}`;
    await claim({ state: paths.state, project, stack }, unlock, patienceMs);
    // Containers of our own Docker go with it; those of the user's would have nobody who knows of them.
    if (project === "facecraft-deploy" && resources > 1 && !existsSync(join(tools, "docker"))) {
      throw new Failure(`The deploy stack ${stack} still runs in your Docker. Type \`make undeploy${own}\` first.`);
    }
  }
}

/** Project, name and number of resources of each stack whose state is on this machine. */
function* stacks(): Generator<[project: string, stack: string, resources: number]> {
  const folder = join(paths.state, ".pulumi/stacks");
  for (const project of existsSync(folder) ? readdirSync(folder) : []) {
    for (const file of readdirSync(join(folder, project)).filter((name) => name.endsWith(".json"))) {
      const { checkpoint } = JSON.parse(readFileSync(join(folder, project, file), "utf8"));
      yield [project, file.replace(/\.json$/, ""), checkpoint?.latest?.resources?.length ?? 0];
    }
  }
}

async function remove(all: boolean): Promise<void> {
  const found = places();
  const sizes = await sizesOf(found);
  let [total, removed] = [0, false];
  for (const [index, place] of found.entries()) {
    const size = sizes[index] as Size;
    if (place.shared && !all) {
      say(`${amount(size)} stay: ${described(place)}; \`make clean ALL=1\` removes that, too`);
      continue;
    }
    for (const path of place.paths) {
      await unmountBelow(path);
      await removeTree(path);
    }
    removed = true;
    total += size.bytes;
    say(`removed ${amount(size)}: ${described(place)}`);
  }
  const left = strangers();
  for (const [folder, names] of [
    ["tools", left.tools],
    ["cache", all ? left.cache : []],
  ] as const) {
    if (names.length > 0) {
      say(`left in the ${folder} folder, because it is not this project's: ${some(names)}`);
    }
  }
  say(removed ? `${formatBytes(total)} are free again` : "there was nothing to remove");
}

function described(place: Place): string {
  return `${place.what} (${whereIs(place)})`;
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else's files are in it, or it is not there.
  }
}

function some(names: readonly string[]): string {
  const more = names.length - 5;
  return names.slice(0, 5).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
