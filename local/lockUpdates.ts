import type { LockedTool, Platform, ToolLock } from "./toolLock.ts";

/** A file as its publisher serves it now. */
export interface Served {
  tool: string;
  platform: Platform;
  url: string;
  sha256: string;
  /** Whether the publisher's own list names the same sum, where there is one. */
  listed: boolean;
}

export interface LockChange {
  tool: string;
  platform: Platform;
  url: string;
  old: string | null;
  new: string;
  /** The same file had another sum: nobody may change what was released. */
  replaced: boolean;
}

/** The lock with what is served, and what that changes in it. */
export function updateLock(
  lock: ToolLock,
  served: readonly Served[],
  versionOf: (tool: string) => string,
): { lock: ToolLock; changes: LockChange[] } {
  const changes: LockChange[] = [];
  const tools = Object.entries(lock).map(([tool, entry]): [string, LockedTool] => {
    const own = served.filter((file) => file.tool === tool);
    const before = changes.length;
    const files = own.map(({ platform, url, sha256 }) => {
      const old = entry.files[platform];
      if (old?.sha256 !== sha256 || old.url !== url) {
        const replaced = old?.url === url && old.sha256 !== null;
        changes.push({ tool, platform, url, old: old?.sha256 ?? null, new: sha256, replaced });
      }
      return [platform, { url, sha256 }] as const;
    });
    if (changes.length === before) {
      return [tool, entry];
    }
    const version = versionOf(tool);
    const sums = entry.sums?.startsWith(".") ? entry.sums : (entry.sums?.replaceAll(entry.version, version) ?? null);
    const source = own.every(({ listed }) => listed)
      ? "the downloads themselves, which are what their publisher's list names"
      : "the downloads themselves";
    return [tool, { version, sums, source, files: Object.fromEntries(files.sort()) }];
  });
  return { lock: Object.fromEntries(tools), changes };
}

/** A change, for a person. */
export function describe({ tool, platform, url, old, new: now, replaced }: LockChange): string {
  const alarm = replaced
    ? "\n  ITS PUBLISHER SERVES ANOTHER FILE UNDER THE SAME NAME: find out why before you commit this"
    : "";
  return `${tool}, ${platform}: ${url}\n  ${old ?? "(no sum)"} -> ${now}${alarm}`;
}
