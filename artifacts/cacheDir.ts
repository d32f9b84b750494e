import { join } from "node:path";
import { ArtifactError } from "./errors.ts";
import { userHome } from "./userHome.ts";

/** FACECRAFT_CACHE, else $XDG_CACHE_HOME/facecraft, else ~/.cache/facecraft. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.FACECRAFT_CACHE) {
    return env.FACECRAFT_CACHE;
  }
  return join(env.XDG_CACHE_HOME || join(home(), ".cache"), "facecraft");
}

function home(): string {
  const folder = userHome();
  if (folder !== undefined) {
    return folder;
  }
  throw new ArtifactError("disk", "this user has no home folder; set FACECRAFT_CACHE to a folder for verified files");
}
