import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hashFile } from "../artifacts/hash.ts";
import { reachable } from "./acquire.ts";
import { type Docker, ownLabel } from "./dockerClient.ts";
import { output, run, which } from "./exec.ts";
import { root, tools } from "./paths.ts";
import { Failure } from "./say.ts";
import { timed } from "./timeline.ts";
import { toolPath } from "./tools.ts";

/** What an image of our own consists of, besides the libraries of these programs. */
export const programs = ["buildkitd", "buildctl", "runc"];

/** BuildKit's own image, by its digest. */
export function officialImage(): string {
  const text = readFileSync(join(root, "local/tools/buildkit/Dockerfile"), "utf8");
  const [, image] = /^FROM (\S+@sha256:[0-9a-f]{64})$/m.exec(text) ?? [];
  if (image === undefined) {
    throw new Error("local/tools/buildkit/Dockerfile names no image with its digest");
  }
  return image;
}

/** Whether Docker has BuildKit's own image, or can get it. */
export async function hasOfficial(docker: Docker): Promise<boolean> {
  return (await docker.hasImage(officialImage())) || reachable("https://registry-1.docker.io/v2/");
}

/**
 * Sees to the builder's image: BuildKit's own where Docker Hub answers, else one of the programs that were brought up here.
 *
 * @param own name of an image that is made here, without a tag
 * @returns the image's name
 */
export async function obtainImage(docker: Docker, own: string): Promise<string> {
  const official = officialImage();
  if (await hasOfficial(docker)) {
    if (!(await docker.hasImage(official))) {
      await timed(`getting the builder's image, ${official}`, () => docker.call("pull", "--quiet", official));
    }
    return official;
  }
  if (process.platform !== "linux") {
    throw new Failure(
      `Docker Hub cannot be reached, and the image of a builder can be made on Linux only. Load ${official} into Docker, ` +
        "or use the stack cpu with a buildx builder of your own.",
    );
  }
  return makeImage(docker, own);
}

async function makeImage(docker: Docker, own: string): Promise<string> {
  const files = await filesOfPrograms();
  const hash = createHash("sha256");
  for (const [place, path] of files) {
    hash.update(`${place} ${await hashFile(path)}\n`);
  }
  const image = `${own}:${hash.digest("hex").slice(0, 12)}`;
  if (!(await docker.hasImage(image))) {
    const folders = ["etc/buildkit", "etc/ssl/certs", "run", "root", "var/lib/buildkit"];
    const [name, folder] = ownLabel.split(/=(.*)/s);
    const changes = ['ENTRYPOINT ["buildkitd"]', "ENV PATH=/usr/bin", `LABEL ${name}=${JSON.stringify(folder)}`];
    await timed("making the builder's image of the programs here, because Docker Hub cannot be reached", () =>
      importImage(docker, image, { folders, files, changes }),
    );
  }
  return image;
}

/** Where each file has its place in the image, and where it is here. */
async function filesOfPrograms(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of programs) {
    const found = which(name, toolPath());
    if (found === undefined) {
      throw new Failure(`${name} is missing, of which the builder's image is made; \`make doctor\` says more.`);
    }
    files.set(`/usr/bin/${name}`, await realpath(found));
    // Debian's runc is linked with libraries of the system. Of a program that is not, ldd says so and fails.
    const { text } = await run("ldd", [found]);
    for (const [, library = ""] of text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) {
      files.set(library, await realpath(library));
    }
  }
  return files;
}

interface Content {
  folders: readonly string[];
  /** Programs and libraries: where each has its place in the image, and where it is here. */
  files?: ReadonlyMap<string, string>;
  /** Instructions of a Dockerfile. */
  changes?: readonly string[];
}

/** Makes an image of folders, of a /tmp that everybody may write to, and of files. */
export async function importImage(docker: Docker, image: string, content: Content): Promise<void> {
  const { folders, files = new Map(), changes = [] } = content;
  const work = await mkdtemp(join(tools, "image-"));
  try {
    const tree = join(work, "tree");
    for (const folder of [...folders, "tmp"]) {
      await mkdir(join(tree, folder), { recursive: true });
    }
    await chmod(join(tree, "tmp"), 0o1777);
    for (const [place, path] of files) {
      await mkdir(join(tree, dirname(place)), { recursive: true });
      await cp(path, join(tree, place));
      await chmod(join(tree, place), 0o755);
    }
    const archive = join(work, "tree.tar");
    await output("tar", ["-C", tree, "-cf", archive, "."]);
    await docker.call("import", ...changes.flatMap((change) => ["--change", change]), archive, image);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
