import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSha256, type Sha256 } from "../artifacts/pins.ts";
import { root } from "./paths.ts";
import { Failure } from "./say.ts";
import { wantedVersion } from "./versions.ts";

/** `local/tools/lock.json`: which files the set-up downloads, and the sha256 of each where that is known. */
export type ToolLock = Record<string, LockedTool>;

export interface LockedTool {
  /** What the addresses and the sums are of. */
  version: string;
  /** The list of sums that the publisher serves: its address, or a suffix that is appended to a file's address. */
  sums: string | null;
  /** Where the sums were read. */
  source: string | null;
  files: Partial<Record<Platform, LockedFile>>;
}

export interface LockedFile {
  url: string;
  /** Of the file as it is served; null where nobody has told us yet. `make update-tools` fills it. */
  sha256: string | null;
}

export const platforms = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"] as const;
export type Platform = (typeof platforms)[number];

export const thisPlatform =
  `${process.platform === "darwin" ? "darwin" : "linux"}-${process.arch === "arm64" ? "arm64" : "amd64"}` as Platform;

export const lockFile = join(root, "local/tools/lock.json");

export function readLock(bytes = readFileSync(lockFile)): ToolLock {
  return JSON.parse(bytes.toString()) as ToolLock;
}

/** Where the files of a tool are at some version: the lock's own addresses, or those that follow from them. */
export function filesAt(
  { version, sums, files }: LockedTool,
  wanted: string,
): { platform: Platform; url: string; sums: string | undefined }[] {
  const at = (address: string) => address.replaceAll(version, wanted);
  return platforms.flatMap((platform) => {
    const file = files[platform];
    if (file === undefined) {
      return [];
    }
    const url = at(file.url);
    const list = sums?.startsWith(".") ? url + sums : sums === null ? undefined : at(sums);
    return [{ platform, url, sums: list }];
  });
}

/** A download, and what can judge it. */
export interface ToolDownload {
  url: string;
  pin: Sha256 | undefined;
  /** The publisher's list. */
  sums: string | undefined;
}

/**
 * The file of a tool for a platform, at the version that the project asks for; undefined where its publisher has none.
 * Where that is not the lock's version, no pin applies.
 *
 * @throws Failure when a pin is none: an empty or a short one must never pass for "not pinned"
 */
export function toolDownload(
  name: string,
  platform: Platform = thisPlatform,
  lock: ToolLock = readLock(),
): ToolDownload | undefined {
  const tool = lock[name];
  if (tool === undefined) {
    return undefined;
  }
  const version = wantedVersion(name);
  const file = filesAt(tool, version).find((file) => file.platform === platform);
  const sha256 = tool.files[platform]?.sha256;
  const pinned = version === tool.version && sha256 !== null && sha256 !== undefined;
  return file && { url: file.url, sums: file.sums, pin: pinned ? pinOf(name, platform, sha256) : undefined };
}

function pinOf(name: string, platform: Platform, value: unknown): Sha256 {
  try {
    return parseSha256(value);
  } catch (error) {
    throw new Failure(
      `local/tools/lock.json, ${name}, ${platform}: ${(error as Error).message}. Write null where no sum is known, or run \`make update-tools\`.`,
    );
  }
}

/** Whether only what a pin in this repository covers may be downloaded and run: FACECRAFT_PINNED_TOOLS=1. */
export function pinnedOnly(): boolean {
  return !["", "0", "false", undefined].includes(process.env.FACECRAFT_PINNED_TOOLS);
}

/** What to say about a tool that FACECRAFT_PINNED_TOOLS keeps out. */
export function unpinned(what: string, reason: string): Failure {
  return new Failure(
    `FACECRAFT_PINNED_TOOLS refuses ${what}: ${reason}. Run \`make update-tools\` where the download sites can be reached ` +
      `and commit local/tools/lock.json, or install ${what} yourself.`,
  );
}
