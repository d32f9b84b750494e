import { existsSync } from "node:fs";
import { type Docker, proxies } from "./dockerClient.ts";
import { importImage } from "./dockerImage.ts";

/** What a program of this machine finds of it in the container; for reading. */
const seen: [inside: string, here: string][] = [
  ...["/usr", "/etc/apt", "/etc/alternatives", "/etc/dpkg", "/etc/group", "/etc/passwd", "/etc/perl", "/etc/ssl"].map(
    (path): [string, string] => [path, path],
  ),
  ...["bin", "sbin", "lib", "lib64"].map((name): [string, string] => [`/${name}`, `/usr/${name}`]),
];

/** What the machine's are put over. */
const folders = ["bin", "dev", "etc", "lib", "lib64", "proc", "root", "sbin", "sys", "usr", "var/tmp"];

/**
 * Runs a program of this machine as root in a container, in which it may mount: for those who are not root, but have a Docker
 * on a system with the programs in /usr, as Debian is.
 *
 * @param name of the container, which is gone in the end
 * @param writable folders that it may write to; what it makes there is root's
 */
export async function runInDocker(
  docker: Docker,
  name: string,
  command: readonly string[],
  writable: readonly string[],
): Promise<void> {
  const image = `${name}:empty`;
  await importImage(docker, image, { folders });
  try {
    await docker.run("container", "rm", "--force", name); // of a set-up that was killed
    await docker.call(
      ...["run", "--rm", "--name", name, "--network=host", "--cap-add=SYS_ADMIN"],
      ...["seccomp", "apparmor", "systempaths"].map((what) => `--security-opt=${what}=unconfined`),
      ...seen.filter(([, here]) => existsSync(here)).map(([inside, here]) => `--volume=${here}:${inside}:ro`),
      ...writable.map((folder) => `--volume=${folder}:${folder}`),
      ...["PATH=/usr/bin:/usr/sbin", ...proxies()].flatMap((variable) => ["--env", variable]),
      ...[image, ...command],
    );
  } finally {
    await docker.call("image", "rm", image);
  }
}
