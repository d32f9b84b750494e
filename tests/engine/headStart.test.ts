import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builderEnvironment } from "../../local/builder.ts";
import { output } from "../../local/exec.ts";
import { run } from "../run.ts";
import { Clone } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

interface Build {
  Ref: string;
  CreatedAt: { seconds: number; nanos: number };
  FrontendAttrs?: Record<string, string>;
}

/** Digest of a step, what it is called, and whether the builder had it already. */
interface Step {
  digest: string;
  name: string;
  cached?: boolean;
}

function time({ CreatedAt: { seconds, nanos } }: Build): number {
  return seconds + nanos / 1e9;
}

/**
 * What each build of this clone's proof had to make, the first build first: nobody else's models are served from its address.
 * Where a step is the same as one that another file's test builds at that moment, BuildKit lists that one's sources, too.
 */
async function made(env: NodeJS.ProcessEnv): Promise<string[][]> {
  const { models } = await clone.outputs();
  const address = new URL(models.codeformer?.url ?? "").origin;
  const records = await output("buildctl", ["debug", "histories", "--format", "{{json .}}"], { env });
  const proofs = records
    .split("\n")
    .map((line): Build => JSON.parse(line).record)
    .filter(({ FrontendAttrs: { target, "build-arg:CODEFORMER_URL": url } = {} }) => {
      return target === "proof" && url?.startsWith(`${address}/`);
    })
    .sort((one, other) => time(one) - time(other));
  return Promise.all(
    proofs.map(async ({ Ref }) => {
      const log = await output("buildctl", ["debug", "logs", "--progress", "rawjson", Ref], { env });
      const reports = log.split("\n").flatMap((line): Step[] => JSON.parse(line).vertexes ?? []);
      const cached = new Set(reports.filter((step) => step.cached).map(({ digest }) => digest));
      const instructions = reports.filter(({ digest, name }) => {
        const [of = address] = name.match(/http:\/\/[^/"]+/) ?? [];
        return !cached.has(digest) && of === address && /^\[\S+ \d+\/\d+\] (RUN|COPY|WORKDIR) /.test(name);
      });
      return [...new Set(instructions.map(({ name }) => name))];
    }),
  );
}

test("what the builder makes ahead of the engine is what the engine then asks for, to the last step", async () => {
  const script = join(clone.folder, "local/headStart.ts");
  const env = { ...clone.environment, ...builderEnvironment() };
  expect(await run([process.execPath, script, "local", clone.configFile], clone.folder, env)).toSucceed();
  expect(await clone.up()).toSucceed();

  const [ahead, engines, ...more] = await made(env);
  expect(more).toEqual([]);
  expect(ahead).toContainEqual(expect.stringContaining("place_model.py"));
  expect(engines).toEqual([]);
});
