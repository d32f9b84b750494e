// `make bench BENCH=setup`: from a clone with nothing to the first published image. A clone that finds nothing in the cache, as the
// first one of a machine, and a second one, which finds what the first has made, each with tools, services and npm packages of its
// own; the rival of the second is the first. Then both ways of an update that has nothing to do, in turns: `make up`, and its
// engine with a refresh, which `make up` leaves out where all is known to be as the last update left it. Takes a quarter of an hour.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output } from "../local/exec.ts";
import { root, tools } from "../local/paths.ts";
import { removeTree } from "../local/rootless.ts";
import { run } from "../tests/run.ts";
import { median } from "./process.ts";

const targets = { first: 400, second: 60, nothing: 3.5 };
const rounds = Number(process.env.ROUNDS ?? 7);

const top = mkdtempSync(join(tmpdir(), "facecraft-bench-"));
// No program of the clone that measures.
const PATH = (process.env.PATH ?? "").split(":").filter((entry) => !entry.startsWith(tools));
const { PULUMI_HOME, PULUMI_BACKEND_URL, BUILDX_CONFIG, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, ...rest } = process.env;
const env = (clone: string) => ({
  ...rest,
  PATH: PATH.join(":"),
  STACK: "local",
  FACECRAFT_TOOLS: join(clone, ".tools"),
  FACECRAFT_CACHE: join(top, "cache"),
  FACECRAFT_SHARED_CACHE: join(top, "none"),
});

const clones = ["first", "second"].map((name) => join(top, name));
try {
  const [first = 0, second = 0] = [await published(clones[0] ?? ""), await published(clones[1] ?? "")];
  const times = { make: [] as number[], refresh: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.refresh.push(await update(clones[1] ?? "", "refreshing"));
    times.make.push(await update(clones[1] ?? ""));
  }
  const nothing = median(times.make);
  const rows = [
    row("first clone: from nothing to the first image", first, targets.first, "507 (one Go build after the other)"),
    row("second clone", second, targets.second, `${first.toFixed(0)} (the first clone)`),
    row("make up, nothing to do", nothing, targets.nothing, `${median(times.refresh).toFixed(2)} (with a refresh)`),
  ];
  console.table(rows);
  console.log(JSON.stringify({ bench: "setup", rows }));
} finally {
  for (const clone of clones) {
    await run(["make", "down"], clone, env(clone)).catch(() => {});
  }
  await removeTree(top);
}

function row(what: string, seconds: number, target: number, rival: string) {
  const reached = seconds <= target ? "reached" : "missed";
  return { what, "now (s)": seconds.toFixed(2), "rival (s)": rival, target: `<= ${target} ${reached}` };
}

async function published(clone: string): Promise<number> {
  await output("git", ["clone", "--quiet", root, clone]);
  return update(clone);
}

/** Seconds of a `make up`. */
async function update(clone: string, how?: "refreshing"): Promise<number> {
  const start = performance.now();
  const { code, text } = await run(["make", "up"], clone, { ...env(clone), ...(how && { REFRESH: "1" }) });
  if (code !== 0) {
    throw new Error(text);
  }
  return (performance.now() - start) / 1000;
}
