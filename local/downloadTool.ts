import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Cache } from "../artifacts/cache.ts";
import { defaultCacheDir } from "../artifacts/cacheDir.ts";
import { ArtifactError, type ArtifactErrorCode } from "../artifacts/errors.ts";
import { fetchArtifact } from "../artifacts/fetch.ts";
import { readText } from "../artifacts/glance.ts";
import type { Sha256 } from "../artifacts/pins.ts";
import { display } from "../scripts/progress.ts";
import { reachable } from "./acquire.ts";
import { isExecutable, output } from "./exec.ts";
import { type Proof, writeProof } from "./proof.ts";
import { Failure, say } from "./say.ts";
import { sumIn } from "./sumList.ts";
import { aside } from "./timeline.ts";
import { pinnedOnly, type ToolDownload, toolDownload } from "./toolLock.ts";
import { wantedVersion } from "./versions.ts";

/** Where a tool is unpacked, or put where it is no archive but the program itself, and what of it is looked for there. */
export interface Unpacking {
  folder: string;
  /** Path of the program in that folder. */
  program: string;
  stripComponents?: number;
}

/**
 * Downloads a file that `local/tools/lock.json` names, judges it by its pin or else by its publisher's list, unpacks it
 * beside its folder and renames it there: a folder that exists is complete and verified.
 *
 * @returns false when it cannot be had, or nothing can judge it
 * @throws Failure when it is another file than it must be
 */
export async function downloadTool(
  tool: string,
  { folder, program, stripComponents = 0 }: Unpacking,
): Promise<boolean> {
  const download = toolDownload(tool);
  if (download === undefined || !((await inCache(download.pin)) || (await reachable(download.url)))) {
    return false;
  }
  const proof = await judgeOf(tool, download);
  const archive = proof && (await aside(() => fetchTool(tool, proof, download)));
  if (proof === undefined || archive === undefined) {
    return false;
  }
  await mkdir(join(folder, ".."), { recursive: true });
  const fresh = await mkdtemp(`${folder}.new-`);
  try {
    if (download.url.endsWith(".tar.gz")) {
      const strip = `--strip-components=${stripComponents}`;
      await output("tar", ["-xzf", archive, "--no-same-owner", strip, "-C", fresh]);
    } else {
      await copyFile(archive, join(fresh, program));
      await chmod(join(fresh, program), 0o755);
    }
    if (!isExecutable(join(fresh, program))) {
      throw new Failure(`${download.url} is the file that its sum names, but there is no ${program} in it.`);
    }
    await writeProof(fresh, proof);
    await chmod(fresh, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
    return true;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function inCache(pin: Sha256 | undefined): Promise<boolean> {
  return pin !== undefined && typeof (await new Cache(defaultCacheDir()).find(pin)) === "object";
}

/** The sum that a download must have, and who says so. */
async function judgeOf(tool: string, { url, pin, sums }: ToolDownload): Promise<Proof | undefined> {
  if (pin !== undefined) {
    return { url, sha256: pin, judge: "pin" };
  }
  const unjudged = (reason: string) =>
    say(`${tool} is not downloaded: local/tools/lock.json has no sum of it, ${reason}`);
  if (pinnedOnly()) {
    unjudged("and FACECRAFT_PINNED_TOOLS allows nothing else");
    return undefined;
  }
  if (sums === undefined) {
    unjudged("and its publisher serves no list of sums");
    return undefined;
  }
  try {
    const said = sumIn(await readText(sums), url);
    if ("sha256" in said) {
      return { url, sha256: said.sha256, judge: "list" };
    }
    unjudged(`and its publisher's list ${sums} ${said.reason}`);
  } catch (error) {
    if (!(error instanceof ArtifactError)) {
      throw error;
    }
    unjudged(`and its publisher's list ${sums} cannot be had: ${error.message}`);
  }
  return undefined;
}

// There may be another way to the tool; a file that is not the one it must be, or a full disk, is an end.
const elsewhere: ReadonlySet<ArtifactErrorCode> = new Set(["unreachable", "gone", "refused", "insecure"]);

async function fetchTool(
  tool: string,
  { url, sha256, judge }: Proof,
  { sums }: ToolDownload,
): Promise<string | undefined> {
  const title = `${tool} ${wantedVersion(tool)}`;
  const view = display(process.stderr);
  const line = view.add(title);
  line.note(`downloading ${url}`);
  try {
    const caBundle = process.env.FACECRAFT_CA_BUNDLE || undefined;
    const options = { caBundle, retries: 3, onProgress: line.update, onRetry: line.note, onWait: say, warn: say };
    return (await fetchArtifact({ title, urls: [url], sha256, decompress: false }, options)).path;
  } catch (error) {
    if (!(error instanceof ArtifactError)) {
      throw error;
    }
    if (elsewhere.has(error.code)) {
      say(error.message);
      return undefined;
    }
    const judged = judge === "pin" ? "the pin in local/tools/lock.json" : `that of its publisher's list, ${sums}`;
    const whose = error.code === "mismatch" ? ` The sum is ${judged}. Nothing of the file was unpacked or run.` : "";
    throw new Failure(error.message + whose, { cause: error });
  } finally {
    view.stop();
  }
}
