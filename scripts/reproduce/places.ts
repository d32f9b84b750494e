import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import spawn from "nano-spawn";
import { ActionableError } from "../../artifacts/errors.ts";
import { isGitUrl } from "../../plan/config.ts";
import type { DockerfileFacts } from "../../plan/dockerfile.ts";
import { resolveSource } from "../../plan/source.ts";

const commit = /^[0-9a-f]{40}$/;

/**
 * Where the application of a revision is, for the builder: a git URL, or a folder that was made.
 *
 * @param source a git URL, or a folder of this machine
 * @param into an empty folder for what is taken from git
 * @throws ActionableError where nobody has that revision
 */
export async function applicationOf(
  revision: string,
  source: string,
  dockerfile: Pick<DockerfileFacts, "ignoreFile" | "requirements">,
  into: string,
): Promise<string> {
  if (isGitUrl(source)) {
    return source;
  }
  const now = await resolveSource(source, dockerfile);
  if (now.revision === revision) {
    return now.context;
  }
  if (!commit.test(revision)) {
    throw new ActionableError(
      `The application of this image is ${revision}, which is no commit, and ${source} is ${now.revision}: give the folder ` +
        "that it was built from as SOURCE=...",
    );
  }
  await checkOut(source, revision, ".", into);
  return (await resolveSource(into, dockerfile)).context;
}

/** Takes a folder as a commit has it. @throws ActionableError where the repository does not have the commit */
export async function checkOut(folder: string, revision: string, path: string, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  const archive = join(into, "..", `${revision}.tar`);
  try {
    await spawn("git", ["archive", "--format=tar", `--output=${archive}`, revision, path], { cwd: folder });
  } catch {
    throw new ActionableError(
      `${folder} is in no repository that has the commit ${revision}, which this image was built from: fetch it, or give a ` +
        "checkout of it as SOURCE=...",
    );
  }
  await spawn("tar", ["-xf", archive, "-C", into]);
}
