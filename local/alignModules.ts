// node local/alignModules.ts: raises the modules that several Go tools are built from to the newest version that any of them
// requires, so that Go compiles each once. For whoever has changed a tool's version; the builds that follow show whether it fits.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compare } from "semver";
import { root } from "./paths.ts";

/** Tools that are built on one machine in one go, and their modules that must stay what their own authors chose. */
const tools: Record<string, readonly string[]> = {
  pulumi: [],
  buildkit: ["github.com/sigstore/"],
  registry: [],
  rootlesskit: [],
  cosign: ["github.com/sigstore/"],
  // Its provider framework is older than the engine, and its builder older than ours.
  "docker-build": [
    "github.com/pulumi/",
    "github.com/moby/",
    "github.com/docker/",
    "github.com/sigstore/",
    "k8s.io/",
    "sigs.k8s.io/",
  ],
};

interface Behind {
  tool: string;
  module: string;
  version: string;
  newest: string;
}

/** The modules of all tools that another one requires in a newer version. */
export function modulesBehind(): Behind[] {
  const required = Object.entries(tools).flatMap(([tool, own]) =>
    requirements(tool)
      .filter(({ module }) => !own.some((prefix) => module.startsWith(prefix)))
      .map(({ module, version }) => ({ tool, module, version })),
  );
  const newest = new Map<string, string>();
  for (const { module, version } of required) {
    const other = newest.get(module);
    if (other === undefined || compare(version, other) > 0) {
      newest.set(module, version);
    }
  }
  return required
    .map((one) => ({ ...one, newest: newest.get(one.module) ?? one.version }))
    .filter(({ version, newest }) => compare(version, newest) < 0);
}

function requirements(tool: string): { module: string; version: string }[] {
  const text = readFileSync(join(root, "local/tools", tool, "go.mod"), "utf8");
  return [...text.matchAll(/^(?:require |\t)(\S+) (v\S+)(?: \/\/ indirect)?$/gm)].map(
    ([, module = "", version = ""]) => ({ module, version }),
  );
}

function align(): void {
  // What one tool is raised to may itself require more.
  for (let behind = modulesBehind(); behind.length > 0; behind = modulesBehind()) {
    for (const tool of new Set(behind.map(({ tool }) => tool))) {
      const raised = behind.filter((one) => one.tool === tool).map((one) => `-require=${one.module}@${one.newest}`);
      const cwd = join(root, "local/tools", tool);
      execFileSync("go", ["mod", "edit", ...raised], { cwd, stdio: "inherit" });
      execFileSync("go", ["mod", "tidy"], { cwd, stdio: "inherit" });
      console.log(`${tool}: ${raised.length} raised`);
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  align();
}
