// What the program costs beside the one resource that it cannot do without: a no-op `up` and a `preview` of the whole
// program, as a ratio to those of a program with one bare docker-build Image, taking turns in the same run.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output } from "../local/exec.ts";
import { root } from "../local/paths.ts";
import { localEnvironment } from "../local/pulumi.ts";
import { localBuilder } from "../local/stackConfig.ts";
import { Clone } from "../tests/engine/harness.ts";
import { run } from "../tests/run.ts";

const rounds = Number(process.env.ROUNDS ?? 7);
const target = 1.3;

const bareProgram = (repository: string) => `
import * as docker from "@pulumi/docker-build";
new docker.Image("bare", {
  push: false,
  context: { location: "context" },
  builder: { name: "${localBuilder}" },
  tags: ["${repository}:bare"],
  exports: [{ raw: "type=registry,oci-mediatypes=true" }],
});
`;

const clone = await Clone.make();
const top = mkdtempSync(join(tmpdir(), "facecraft-bench-"));
try {
  const bare = join(top, "bare");
  mkdirSync(join(bare, "context"), { recursive: true });
  writeFileSync(join(bare, "context", "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
  writeFileSync(join(bare, "index.ts"), bareProgram(clone.repository));
  writeFileSync(join(bare, "package.json"), '{ "type": "module", "main": "index.ts" }');
  writeFileSync(
    join(bare, "Pulumi.yaml"),
    "name: bare\nmain: index.ts\nruntime: { name: nodejs, options: { typescript: false } }\n",
  );
  symlinkSync(join(root, "node_modules"), join(bare, "node_modules"));
  const env = await localEnvironment(join(top, "state"));
  await output("pulumi", ["stack", "select", "--create", "test"], { cwd: bare, env });

  const plain = ["--non-interactive", "--suppress-progress"];
  const theirs = (command: string) =>
    run(
      ["pulumi", command, "--stack", "test", ...plain, ...(command === "up" ? ["--yes", "--skip-preview"] : [])],
      bare,
      env,
    );
  const ours = (command: string) => clone.pulumi(command);
  for (const release of [ours, theirs]) {
    const { code, text } = await release("up");
    if (code !== 0) {
      throw new Error(text);
    }
  }
  const rows = [];
  for (const command of ["up", "preview"]) {
    const times = { ours: [] as number[], theirs: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      times.theirs.push(await seconds(() => theirs(command)));
      times.ours.push(await seconds(() => ours(command)));
    }
    const [whole, one] = [median(times.ours), median(times.theirs)];
    const ratio = whole / one;
    rows.push({
      command: `no-op ${command}`,
      "whole program (s)": whole.toFixed(2),
      "one bare Image (s)": one.toFixed(2),
      ratio: ratio.toFixed(2),
      target: `<= ${target} ${ratio <= target ? "reached" : "missed"}`,
    });
  }
  console.log(`The program, median of ${rounds} rounds`);
  console.table(rows);
  console.log(JSON.stringify({ bench: "program", rows }));
} finally {
  clone.remove();
  rmSync(top, { recursive: true, force: true });
}

async function seconds(work: () => Promise<{ code: number; text: string }>): Promise<number> {
  const start = performance.now();
  const { code, text } = await work();
  if (code !== 0 || !/unchanged/.test(text)) {
    throw new Error(`that was no no-op:\n${text}`);
  }
  return (performance.now() - start) / 1000;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
