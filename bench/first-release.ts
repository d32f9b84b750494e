// `make bench`, first release: models of the real sizes from a server that gives each connection 20 MB/s. The proof waits for
// nothing; its rival is the same program with a proof that waits until every model is verified. All else that a release is
// made of is in the builder's cache.
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Clone } from "../tests/engine/harness.ts";

const target = 0.6;
const bytesPerSecond = 20e6;
/** As they are served: the shape predictor is compressed. */
const sizes = { shapePredictor: 64_040_097, codeformer: 376_637_898, u2net: 175_997_641 };
type Name = keyof typeof sizes;
const names = Object.keys(sizes) as Name[];

const zeros = Buffer.alloc(1 << 18);

const server = createServer(async (request, response) => {
  const [, run = "", name = ""] = new URL(request.url ?? "/", "http://localhost").pathname.split("/");
  const size = sizes[name as Name];
  if (size === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { etag: `"${run}-${name}"`, "content-length": size });
  // A client may leave at any time.
  await pipeline(Readable.from(throttled(content(run, name as Name))), response).catch(() => {});
});
server.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const { port } = server.address() as AddressInfo;

try {
  const warm = await Clone.make();
  try {
    console.error("building once with small models, so that all but the models is in the builder's cache ...");
    await released(warm);
  } finally {
    warm.remove();
  }
  const before = await measure("a proof that waits for the models", (clone) =>
    clone.edit("components/facecraftImage.ts", (text) =>
      text.replace(
        /(exports: \[\{ cacheonly: \{\} \}\], buildOnPreview: true \},\n\s*)parent,/,
        "$1{ ...parent, dependsOn: modelNames.map((model) => args.checksums[model]) },",
      ),
    ),
  );
  const after = await measure("a proof that waits for nothing");
  const row = {
    release: "first, 617 MB of models at 20 MB/s",
    "before (s)": before.toFixed(1),
    "after (s)": after.toFixed(1),
    ratio: (after / before).toFixed(2),
    target: `<= ${target} ${after / before <= target ? "reached" : "missed"}`,
  };
  console.table([row]);
  console.log(JSON.stringify({ bench: "first-release", rows: [row] }));
} finally {
  server.close();
}

/** Seconds of a first release, with models that neither the builder nor the machine has seen. */
async function measure(what: string, edit: (clone: Clone) => void = () => {}): Promise<number> {
  console.error(`releasing with ${what} ...`);
  const clone = await Clone.make();
  try {
    edit(clone);
    const run = randomBytes(8).toString("hex");
    const lines = names.flatMap((name) => [
      `    ${name}:`,
      `      urls: ["http://localhost:${port}/${run}/${name}"]`,
      `      sha256: ${hashOf(run, name)}`,
    ]);
    // They are noise: no application can use them.
    const models = ["  facecraft:smokeTest: false", "  facecraft:models:", ...lines, ""].join("\n");
    clone.writeConfig((text) => text.replace(/ {2}facecraft:models:\n(?: {4}.*\n?)*/, models));
    return await released(clone);
  } finally {
    clone.remove();
  }
}

async function released(clone: Clone): Promise<number> {
  const start = performance.now();
  const { code, text } = await clone.pulumi("up");
  if (code !== 0) {
    throw new Error(text);
  }
  return (performance.now() - start) / 1000;
}

/** Bytes that do not compress, the same for the same run. */
function* content(run: string, name: Name): Generator<Buffer> {
  const key = createHash("md5").update(`${run} ${name}`).digest();
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  for (let left = sizes[name]; left > 0; left -= zeros.length) {
    yield cipher.update(zeros.subarray(0, left));
  }
}

function hashOf(run: string, name: Name): string {
  const hash = createHash("sha256");
  for (const chunk of content(run, name)) {
    hash.update(chunk);
  }
  return hash.digest("hex");
}

async function* throttled(chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  const start = performance.now();
  let sent = 0;
  for (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    await sleep((sent / bytesPerSecond) * 1000 - (performance.now() - start));
  }
}
