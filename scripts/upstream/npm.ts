import spawn from "nano-spawn";
import { readText } from "../../artifacts/glance.ts";
import { isRecord } from "../../plan/isRecord.ts";
import { gone, notKnown, there, type Verdict } from "./verdict.ts";

/** Where npm is told to get packages from: a registry, and others for some scopes. */
export type Registries = Record<string, string>;

/** Asks npm itself, whose config is a matter of several files and variables. */
export async function npmRegistries(folder: string): Promise<Registries> {
  const { stdout } = await spawn("npm", ["config", "list", "--json", "--no-update-notifier"], {
    cwd: folder,
    stdin: "ignore",
  });
  const config = JSON.parse(stdout) as Record<string, unknown>;
  const named = Object.entries(config).filter(
    (entry): entry is [string, string] => /^(@.+:)?registry$/.test(entry[0]) && typeof entry[1] === "string",
  );
  return Object.fromEntries(named);
}

/** The document about a package, in the short form that npm asks for when it installs. */
export async function askPackage(name: string, version: string, registries: Registries): Promise<Verdict> {
  const scope = /^(@[^/]+)\//.exec(name)?.[1];
  const registry = registries[`${scope}:registry`] ?? registries.registry ?? "";
  const url = `${registry.replace(/\/$/, "")}/${name.replace("/", "%2f")}`;
  const accept = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";
  const versions = versionsIn(await readText(url, { accept }));
  if (versions === undefined) {
    return notKnown(`${registry} answers with something else than a package`);
  }
  const found = versions[version];
  if (!isRecord(found)) {
    return gone(`${registry} has the package, but not this version`);
  }
  return found.deprecated
    ? { state: "deprecated", detail: typeof found.deprecated === "string" ? found.deprecated : "its authors say so" }
    : there("");
}

/** By number; undefined for what is no package, such as a page or an error that is JSON too. */
function versionsIn(text: string): Record<string, unknown> | undefined {
  try {
    const document: unknown = JSON.parse(text);
    return isRecord(document) && isRecord(document.versions) ? document.versions : undefined;
  } catch {
    return undefined;
  }
}
