import { readFileSync } from "node:fs";
import { Failure } from "./say.ts";

/**
 * What builds the images of the local stacks: our BuildKit as root, our BuildKit as an ordinary user in a user namespace, or a
 * BuildKit in a container of the user's Docker.
 */
export type BuilderKind = "root" | "rootless" | "docker";

/** @throws Failure with what to do where none of them can run; nothing has been downloaded by then */
export async function chooseBuilder(): Promise<BuilderKind> {
  if (process.platform === "linux" && process.getuid?.() === 0 && mayMount()) {
    return "root";
  }
  throw new Failure(
    "The local stacks bring their own BuildKit, which needs Linux and root. " +
      "Run this as root, or in a Linux virtual machine; or use the stack cpu with a buildx builder of your own.",
  );
}

/** Whether root is allowed what a builder does: in many a container it is not. */
function mayMount(): boolean {
  const sysAdmin = 21n;
  const [, capabilities = "0"] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return ((BigInt(`0x${capabilities}`) >> sysAdmin) & 1n) === 1n;
}
