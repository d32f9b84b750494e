import { readFileSync } from "node:fs";
import { ActionableError } from "../artifacts/errors.ts";
import { findUncommitted, lastCommit } from "./commit.ts";
import { isGitUrl } from "./config.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import { entriesOf } from "./entries.ts";
import { listFiles, snapshot } from "./snapshot.ts";

/** The application that goes into an image, as the builder and the labels need it. */
export interface Source {
  /** Location of the named build context `app`: a git URL, or a folder relative to the program. */
  context: string;
  /** Commit of the code; for a directory that differs from its commit, or has none, a digest of the code follows. */
  revision: string;
  /** Files that go into the image and are not the commit's: changed, untracked or ignored by git, or deleted. */
  uncommitted: string[];
  /** When the commit was made, in seconds since 1970; where that is not known, a constant. */
  committedAt: number;
}

/** The time that the Dockerfiles give to all files. An image with this date has a source without a known one. */
const noDate = 315_532_800;

/**
 * Finds the application's revision and turns it into a build context.
 *
 * A git URL is used as it is: the builder fetches the commit. Of a directory it is a snapshot of what the ignore file
 * lets through.
 *
 * @param dockerfile whose ignore file says what of the directory is the application
 */
export async function resolveSource(
  source: string,
  { ignoreFile, requirements }: Pick<DockerfileFacts, "ignoreFile" | "requirements">,
): Promise<Source> {
  if (isGitUrl(source)) {
    return {
      context: source,
      revision: source.replace(/^.*#([0-9a-f]{40}).*$/, "$1"),
      committedAt: noDate,
      uncommitted: [],
    };
  }
  const rules = readFileSync(ignoreFile, "utf8");
  const files = await listFiles(source, rules);
  const contract = [...requirements, "src/facecraft/main.py"];
  for (const needed of contract) {
    if (!files.includes(needed)) {
      throw new ActionableError(
        `facecraft:source is "${source}", which has no ${needed}; this image needs ${contract.join(", ")}.`,
      );
    }
  }
  const entries = await entriesOf(source, files);
  const [{ context, digest }, commit] = await Promise.all([snapshot(entries, ".facecraft/source"), lastCommit(source)]);
  const uncommitted = commit ? await findUncommitted(commit, source, entries, context, rules) : [];
  const { committedAt = noDate } = commit ?? {};
  return { context, revision: revisionOf(commit?.id, uncommitted, digest), committedAt, uncommitted };
}

/**
 * The commit, where all that goes into the image is that commit's; else with a digest of what there is.
 *
 * @param commit undefined where there is none
 * @param digest of the application, 64 hex digits
 */
export function revisionOf(commit: string | undefined, uncommitted: readonly string[], digest: string): string {
  if (commit === undefined) {
    return `unversioned-${digest.slice(0, 12)}`;
  }
  return uncommitted.length > 0 ? `${commit}-dirty-${digest.slice(0, 12)}` : commit;
}
