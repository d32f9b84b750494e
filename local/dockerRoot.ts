import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Docker, proxies } from "./dockerClient.ts";
import { output } from "./exec.ts";
import { tools } from "./paths.ts";

/** What a program of this machine finds of it in the container; for reading. */
const seen: [inside: string, here: string][] = [
  ...["/usr", "/etc/apt", "/etc/alternatives", "/etc/dpkg", "/etc/group", "/etc/passwd", "/etc/perl", "/etc/ssl"].map(
    (path): [string, string] => [path, path],
  ),
  ...["bin", "sbin", "lib", "lib64"].map((name): [string, string] => [`/${name}`, `/usr/${name}`]),
];

/**
 * Runs a program of this machine as root in a container, in which it may mount: for those who are not root, but have a Docker
 * on a system with the programs in /usr, as Debian is.
 *
 * @param name of the container, which is gone in the end
 * @param folders that it may write to; what it makes there is root's
 */
export async function runInDocker(
  docker: Docker,
  name: string,
  command: readonly string[],
  folders: readonly string[],
): Promise<void> {
  const image = await emptyImage(docker, `${name}:empty`);
  try {
    await docker.run("container", "rm", "--force", name); // of a set-up that was killed
    await docker.call(
      ...["run", "--rm", "--name", name, "--network=host", "--cap-add=SYS_ADMIN"],
      ...["seccomp", "apparmor", "systempaths"].map((what) => `--security-opt=${what}=unconfined`),
      ...seen.filter(([, here]) => existsSync(here)).map(([inside, here]) => `--volume=${here}:${inside}:ro`),
      ...folders.map((folder) => `--volume=${folder}:${folder}`),
      ...["PATH=/usr/bin:/usr/sbin", ...proxies()].flatMap((variable) => ["--env", variable]),
      ...[image, ...command],
    );
  } finally {
    await docker.call("image", "rm", image);
  }
}

/** An image with nothing but the folders that the machine's are put over. */
async function emptyImage(docker: Docker, image: string): Promise<string> {
  const work = await mkdtemp(join(tools, "image-"));
  try {
    const folders = ["bin", "dev", "etc", "lib", "lib64", "proc", "root", "sbin", "sys", "tmp", "usr", "var/tmp"];
    for (const folder of folders) {
      await mkdir(join(work, "tree", folder), { recursive: true });
    }
    await chmod(join(work, "tree/tmp"), 0o1777);
    await output("tar", ["-C", join(work, "tree"), "-cf", join(work, "tree.tar"), "."]);
    await docker.call("import", join(work, "tree.tar"), image);
    return image;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
