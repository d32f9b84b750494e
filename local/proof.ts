import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pinnedOnly, toolDownload } from "./toolLock.ts";

/** How a download was judged before it was unpacked; kept in the folder that it was unpacked into. */
export interface Proof {
  url: string;
  sha256: string;
  judge: "pin" | "list";
}

// local/run writes the same for Node.js.
const fileName = ".facecraft.json";

export function writeProof(folder: string, proof: Proof): Promise<void> {
  return writeFile(join(folder, fileName), `${JSON.stringify(proof)}\n`);
}

/**
 * How what lies in a folder is verified today; undefined when it is not, and must be had again. A pin that came since, or
 * another one, counts: an unpacked file of another sum is then none that the project asks for.
 */
export function provenOrigin(tool: string, folder: string): "pinned" | "publisher's list" | undefined {
  const proof = readProof(folder);
  if (proof === undefined) {
    return undefined;
  }
  const { pin } = toolDownload(tool) ?? {};
  if (pin !== undefined) {
    return proof.sha256 === pin ? "pinned" : undefined;
  }
  return proof.judge === "list" && !pinnedOnly() ? "publisher's list" : undefined;
}

function readProof(folder: string): Proof | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, fileName), "utf8")) as Proof;
  } catch {
    return undefined;
  }
}
