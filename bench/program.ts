// What the program costs beside the one resource that it cannot do without: a no-op `up` and a `preview` of the whole
// program, and `make up` with nothing to do (set-up, refresh and policy included), as a ratio to those of a program with one
// bare docker-build Image, taking turns in the same run.
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output } from "../local/exec.ts";
import { root } from "../local/paths.ts";
import { localEnvironment } from "../local/pulumi.ts";
import { localBuilder } from "../local/stackConfig.ts";
import { Clone } from "../tests/engine/harness.ts";
import { run } from "../tests/run.ts";
import { median } from "./process.ts";

const rounds = Number(process.env.ROUNDS ?? 7);
const targets = { program: 1.8, make: 3.5 };

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
// `make up` keeps its stacks with those of the user, so this one has a name and a repository of its own.
const stack = `local-bench-${randomBytes(4).toString("hex")}`;
const stackFile = readFileSync(join(root, "Pulumi.local.yaml"), "utf8");
const repository = clone.repository.slice(clone.repository.indexOf("/"));
writeFileSync(
  join(clone.folder, `Pulumi.${stack}.yaml`),
  stackFile.replace("${registry}/facecraft", `\${registry}${repository}`),
);
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
  const make = () => run(["make", "up"], clone.folder, { ...process.env, STACK: stack });
  for (const release of [() => ours("up"), make, () => theirs("up")]) {
    const { code, text } = await release();
    if (code !== 0) {
      throw new Error(text);
    }
  }
  const rows = [
    await compare(
      "no-op up",
      () => ours("up"),
      () => theirs("up"),
      targets.program,
    ),
    await compare(
      "no-op preview",
      () => ours("preview"),
      () => theirs("preview"),
      targets.program,
    ),
    await compare("make up, nothing to do", make, () => theirs("up"), targets.make),
  ];
  console.log(`The program, median of ${rounds} rounds`);
  console.table(rows);
  console.log(JSON.stringify({ bench: "program", rows }));
} finally {
  const options = { cwd: clone.folder, env: await localEnvironment() };
  await output("pulumi", ["stack", "rm", stack, "--yes", "--force", "--preserve-config"], options).catch(() => {});
  clone.remove();
  rmSync(top, { recursive: true, force: true });
}

type Command = () => Promise<{ code: number; text: string }>;

/** Takes turns, so that a busy moment of the machine hits both. */
async function compare(command: string, ours: Command, theirs: Command, target: number) {
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.theirs.push(await seconds(theirs));
    times.ours.push(await seconds(ours));
  }
  const [whole, one] = [median(times.ours), median(times.theirs)];
  const ratio = whole / one;
  return {
    command,
    "whole program (s)": whole.toFixed(2),
    "one bare Image (s)": one.toFixed(2),
    ratio: ratio.toFixed(2),
    target: `<= ${target} ${ratio <= target ? "reached" : "missed"}`,
  };
}

async function seconds(work: Command): Promise<number> {
  const start = performance.now();
  const { code, text } = await work();
  if (code !== 0 || !/unchanged/.test(text)) {
    throw new Error(`that was no no-op:\n${text}`);
  }
  return (performance.now() - start) / 1000;
}
