import { homedir } from "node:os";
import { isAbsolute } from "node:path";

/** The user's home, unless there is none: a user id without an entry in the system's list of users may have none. */
export function userHome(): string | undefined {
  try {
    const folder = homedir();
    return isAbsolute(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}
