import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.ts";

/** Version of a module in a tool's `go.mod`, without the "v". The pins of what Go builds live there. */
export function goModuleVersion(tool: string, module: string): string {
  const text = readFileSync(join(root, "local/tools", tool, "go.mod"), "utf8");
  const escaped = module.replaceAll(/[.]/g, "\\.");
  const version = new RegExp(`^(?:require )?\\s*${escaped} v(\\S+)`, "m").exec(text)?.[1];
  if (!version) {
    throw new Error(`local/tools/${tool}/go.mod does not require ${module}`);
  }
  return version;
}

/** Version of an installed npm package; a Pulumi plugin has the version of its SDK. */
export function packageVersion(name: string): string {
  const { version } = JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8"));
  return (version as string).replace(/^v/, "");
}

/** Version of a tool that is downloaded, from where that fact stands; `local/tools/lock.json` only follows. */
export function wantedVersion(tool: string): string {
  const plugin = /^pulumi-resource-(.+)$/.exec(tool)?.[1];
  if (plugin !== undefined) {
    return packageVersion(`@pulumi/${plugin}`);
  }
  switch (tool) {
    case "node":
    case "node-npm":
      return readFileSync(join(root, ".node-version"), "utf8").trim();
    case "pulumi":
      return packageVersion("@pulumi/pulumi");
    case "buildkit":
      return goModuleVersion("buildkit", "github.com/moby/buildkit");
    case "cosign":
      return goModuleVersion("cosign", "github.com/sigstore/cosign/v3");
    case "rootlesskit":
      return goModuleVersion("rootlesskit", "github.com/rootless-containers/rootlesskit/v2");
    case "registry":
      return goModuleVersion("registry", "github.com/distribution/distribution/v3");
    default:
      throw new Error(`local/tools/lock.json names ${tool}, but nothing says which version of it is wanted`);
  }
}
