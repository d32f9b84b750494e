import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { output, which } from "./exec.ts";
import { tools } from "./paths.ts";
import { pinnedOnly, unpinned } from "./toolLock.ts";

/** Whether packages can be had from Debian (or what derives from it) on this machine. */
export function hasDebian(): boolean {
  return which("apt-get") !== undefined && which("dpkg-deb") !== undefined;
}

/**
 * Unpacks Debian packages, without what they depend on, into a folder that appears when it is complete. Nothing is
 * installed, and apt's own lists stay as they are. Debian's signature vouches for them.
 */
export async function unpackDebian(packages: readonly string[], target: string): Promise<void> {
  if (pinnedOnly()) {
    throw unpinned(packages.join(", "), "no pin in this repository covers Debian's packages");
  }
  await mkdir(tools, { recursive: true });
  const work = await mkdtemp(join(tools, "debian-"));
  try {
    const own = ["-o", `Dir::State::Lists=${join(work, "lists")}`, "-o", `Dir::Cache=${join(work, "cache")}`];
    await mkdir(join(work, "lists", "partial"), { recursive: true });
    await mkdir(join(work, "cache", "archives", "partial"), { recursive: true });
    // Run as whoever we are: apt's own user may not be allowed into our folder.
    const apt = (...args: string[]) =>
      output("apt-get", [...own, "-o", "APT::Sandbox::User=root", "-qq", ...args], { cwd: work });
    await apt("update");
    await apt("download", ...packages);
    for (const file of (await readdir(work)).filter((name) => name.endsWith(".deb"))) {
      await output("dpkg-deb", ["-x", file, "tree"], { cwd: work });
    }
    await mkdir(dirname(target), { recursive: true });
    await rename(join(work, "tree"), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
