// `make bench` (images part): our CPU image against one laid out in the usual way (images/Dockerfile.seed), with the same
// inputs and builder in the same run. The models have the real sizes. Writes bench/images/results.json with RESULTS=1.

import { spawn } from "node:child_process";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseImages } from "../local/base.ts";
import { local, root } from "../local/paths.ts";
import { knownPorts } from "../local/ports.ts";
import { segmentationGraph } from "../local/standins/models/graph.ts";
import { wheelsAddress } from "../local/wheels.ts";
import { readImage } from "../registry/image.ts";
import { summarize } from "../reports/image/summary.ts";
import { Style } from "./images/builds.ts";

const run = randomBytes(4).toString("hex");
const ports = knownPorts();
if (!ports) {
  throw new Error("The local services are not up; run `make up` first.");
}

// Models as large as the real ones; the shape predictor is the real one.
const folder = join(local, "bench");
mkdirSync(folder, { recursive: true });
const codeformer = model("codeformer.pth", 376_637_898);
// One that computes: rembg opens it.
const u2net = keep("u2net_human_seg.onnx", () => segmentationGraph(430));
const server = spawn(process.execPath, [join(root, "local/file-server.ts"), folder, "0"], {
  stdio: ["ignore", "pipe", "inherit"],
});
const port = await new Promise<string>((resolve) => server.stdout.once("data", (text) => resolve(String(text).trim())));

const inputs = {
  PYTHON_IMAGE: (await baseImages()).PYTHON_IMAGE ?? "",
  TORCH_INDEX_URL: `${wheelsAddress(ports)}/whl/cpu`,
  SHAPE_PREDICTOR_URL: `http://localhost:${ports.artifacts}/shape_predictor_68_face_landmarks.dat.bz2`,
  CODEFORMER_URL: `http://localhost:${port}/codeformer.pth`,
  U2NET_URL: `http://localhost:${port}/u2net_human_seg.onnx`,
  // Fresh cache mounts, so that the first build is a cold one.
  BUILDKIT_CACHE_MOUNT_NS: `bench-${run}`,
};
const repository = `localhost:${ports.registry}/bench-${run}`;
const styles = [
  new Style("usual layout", "bench/images/Dockerfile.seed", `${repository}/seed`, inputs),
  new Style("ours", "docker/Dockerfile.cpu", `${repository}/ours`, {
    ...inputs,
    CODEFORMER_SHA256: codeformer,
    U2NET_SHA256: u2net,
  }),
];

const results: Record<string, Record<string, number>> = {};
try {
  for (const style of styles) {
    console.error(`building ${style.name} ...`);
    const cold = await style.build("first", "--no-cache");
    const warm = await style.build("warm");
    appendFileSync(join(style.app, "src/facecraft/main.py"), "\n# One more line.\n");
    const appChange = await style.build("app");
    appendFileSync(join(style.app, "requirements.txt"), "tabulate==0.9.0\n");
    const dependencyChange = await style.build("dependency");
    const start = await style.firstStart("first");
    const image = summarize(await readImage(`${style.repository}:first`));
    results[style.name] = {
      "cold build and push, s": cold,
      "the same again, s": warm,
      "after one line of the app, s": appChange,
      "after one more dependency, s": dependencyChange,
      "first start of a container until it is ready, s": start.wall,
      "the same, s of CPU": start.cpu,
      "compressed, bytes": image.compressedBytes,
      "files in all layers, bytes": image.storedBytes,
      "stored but never seen, bytes": image.wastedBytes,
      "efficiency, %": image.efficiency * 100,
      "pushed after one line of the app, bytes": await style.newBytes("app", {
        repository: style.repository,
        tag: "first",
      }),
      "pushed after one more dependency, bytes": await style.newBytes("dependency", {
        repository: style.repository,
        tag: "app",
      }),
    };
  }
} finally {
  server.kill();
}

const [seed = {}, ours = {}] = styles.map(({ name }) => results[name] ?? {});
console.log(`| | ${styles.map(({ name }) => name).join(" | ")} |\n| --- | ---: | ---: |`);
for (const name of Object.keys(ours)) {
  console.log(`| ${name} | ${shown(seed[name])} | ${shown(ours[name])} |`);
}
if (process.env.RESULTS) {
  writeFileSync(join(root, "bench/images/results.json"), `${JSON.stringify(results, undefined, 2)}\n`);
}

function shown(value = Number.NaN): string {
  return value > 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 100 ? 2 : 0);
}

/** A file of that size that does not compress, always the same; returns its sha256. */
function model(name: string, size: number): string {
  const key = createHash("md5").update(name).digest();
  return keep(name, () => createCipheriv("aes-128-ctr", Buffer.alloc(16), key).update(Buffer.alloc(size)));
}

function keep(name: string, make: () => Buffer): string {
  const bytes = make();
  writeFileSync(join(folder, name), bytes);
  return createHash("sha256").update(bytes).digest("hex");
}
