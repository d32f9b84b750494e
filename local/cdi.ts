import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { paths } from "./paths.ts";

/** Where descriptions of devices (CDI) lie: the system's, and those for the local builder alone. */
export const cdiFolders = ["/etc/cdi", "/var/run/cdi", paths.cdi];

interface Edits {
  deviceNodes?: { path?: string; hostPath?: string }[];
}

/**
 * The devices of a kind that are described and that we may not open. Root opens all of them; a builder that runs as an
 * ordinary user gives a build step only what that user may open, and the step finds that out.
 *
 * @param kind as `nvidia.com/gpu`
 */
export function closedDevices(kind: string, folders: readonly string[] = cdiFolders): string[] {
  const nodes = folders.flatMap(descriptionsIn).flatMap((description) => {
    const { kind: theirs, containerEdits, devices } = description ?? {};
    const edits = [containerEdits, ...(devices ?? []).map((device) => device.containerEdits)];
    return theirs === kind ? edits.flatMap((edit) => edit?.deviceNodes ?? []) : [];
  });
  const files = nodes.flatMap(({ path, hostPath }) => hostPath ?? path ?? []);
  return [...new Set(files)].filter((file) => !mayOpen(file));
}

type Description = { kind?: string; containerEdits?: Edits; devices?: { containerEdits?: Edits }[] } | undefined;

function descriptionsIn(folder: string): Description[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .map((name) => parse(readFileSync(join(folder, name), "utf8")) as Description);
  } catch {
    return []; // not there, or not for us to read: the builder then lists nothing either
  }
}

function mayOpen(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
