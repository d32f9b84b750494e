// Servers, archives, disks and other processes that fast-check makes up, and what must hold whatever they are. See ../fuzz.ts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ArtifactError } from "../../artifacts/errors.ts";
import { type FetchOptions, fetchArtifact } from "../../artifacts/fetch.ts";
import { redactUrl } from "../../artifacts/redact.ts";
import { fuzz } from "../fuzz.ts";
import { archivePlan, build, mostly } from "./fuzz/archives.ts";
import { diskPlan, prepare } from "./fuzz/disks.ts";
import { honest, play, script } from "./fuzz/servers.ts";
import { sha256 } from "./server.ts";

const title = "CodeFormer";
const secret = "Hunter2Hunter2";
const { runs, seed, parameters } = fuzz(200);
// Cases that wait for each other's timers, not for the processor.
const atOnce = 4;

/** How a URL carries the secret. */
const disguises = {
  nowhere: (url: string) => url,
  "the password": (url: string) => url.replace("://", `://bob:${secret}@`),
  "the user": (url: string) => url.replace("://", `://${secret}@`),
  "a query that nobody knows": (url: string) => `${url}?quirk==${secret}`,
  "a bare query": (url: string) => `${url}?${secret}`,
  "a parameter of the path": (url: string) => url.replace(/\/m\./, `/m;p=${secret}/m.`),
};

const fuzzCase = fc.record({
  archive: archivePlan,
  servers: fc.array(script, { minLength: 1, maxLength: 2 }),
  disk: diskPlan,
  disguise: fc.constantFrom(...(Object.keys(disguises) as (keyof typeof disguises)[])),
  company: mostly("nobody", "nobody", "nobody", "the same process", "the same process", "a process that is killed"),
  killedAfterMs: fc.nat(1000),
});
type Case = typeof fuzzCase extends fc.Arbitrary<infer T> ? T : never;

// Everything is short, so that a case is; none of what is checked depends on how short.
const quick = {
  retries: 1,
  retryDelayMs: 2,
  idleTimeoutMs: 150,
  longestWaitMs: 300,
  graceMs: 900,
  slowestSpeed: 4 << 20,
} satisfies FetchOptions;
// What a loaded machine may need beyond every deadline.
const slackMs = 25_000;

test(
  `whatever a server, an archive, a disk or another process does (${runs} cases)`,
  async () => {
    console.log(`FACECRAFT_FUZZ_SEED=${seed} replays these ${runs} cases`);
    const cases = fc.tuple(...Array.from({ length: atOnce }, () => fuzzCase));
    await fc.assert(
      fc.asyncProperty(cases, async (some) => void (await Promise.all(some.map(holds)))),
      { ...parameters, endOnFailure: false, numRuns: Math.ceil(runs / atOnce), interruptAfterTimeLimit: 30 * 60_000 },
    );
  },
  40 * 60_000,
);

async function holds(plan: Case): Promise<void> {
  const archive = build(plan.archive);
  const pin = sha256(archive.content);
  const served = { good: archive.served, other: Buffer.alloc(archive.served.length, "other "), secret };
  const servers = await Promise.all(plan.servers.map((one) => play(one, served)));
  const urls = servers.map(({ port }) => disguises[plan.disguise](`http://127.0.0.1:${port}/m${archive.suffix}`));
  const disk = prepare(plan.disk, pin, archive.content, redactUrl(urls[0] as string));
  const outputs: unknown[] = [];
  const options: FetchOptions = {
    ...quick,
    cacheDir: disk.dir,
    waitEveryMs: 100,
    warn: (sentence) => outputs.push(sentence),
    onWait: (sentence) => outputs.push(sentence),
    onRetry: (cause) => outputs.push(cause),
  };
  try {
    const company = inCompany(plan, urls, pin, options, outputs);
    const result = await inTime(fetchArtifact({ title, urls, sha256: pin }, options));
    await company;
    outputs.push(result);
    if (result instanceof Error) {
      expect(result).toBeInstanceOf(ArtifactError);
      expect(result.message).toMatch(/^CodeFormer: [^\p{Cc}]+\.$/u);
      expect(result.message).toContain(redactUrl(urls[0] as string));
      expect((result as ArtifactError).code).not.toBe("internal");
    } else {
      expect(sha256(readFileSync(result.path))).toBe(pin);
    }
    if (
      plan.servers[0] === honest &&
      plan.company === "nobody" &&
      !["full", "read-only", "folder for an entry"].includes(plan.disk)
    ) {
      // Nothing but the archive decides; where a verified file is there, upstream still says whether it serves another.
      if (archive.valid === true) {
        expect(result).not.toBeInstanceOf(Error);
      }
    }
    if (plan.servers.every((one) => one === honest) && archive.valid === false && plan.disk === "fresh") {
      expect(result).toBeInstanceOf(ArtifactError);
    }
    checkFolder(disk.dir, plan);
    expect(inspect(outputs, { depth: 9, showHidden: true, maxStringLength: null })).not.toContain(secret);

    disk.repair();
    const good = await play(honest, { ...served, good: archive.content });
    try {
      const honestUrl = `http://127.0.0.1:${good.port}/m.pth`;
      const again = await inTime(
        fetchArtifact({ title, urls: [honestUrl], sha256: pin }, { cacheDir: disk.dir, warn() {} }),
      );
      if (again instanceof Error) {
        throw again;
      }
      expect(sha256(readFileSync(again.path))).toBe(pin);
    } finally {
      good.close();
    }
  } finally {
    for (const server of servers) {
      server.close();
    }
    disk.remove();
  }
}

/** What a fetch comes to: an artifact or an error, but within its deadlines. */
async function inTime<T>(work: Promise<T>): Promise<T | Error> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the fetch did not end within its deadlines")), slackMs);
  });
  const result = work.catch((error: Error) => error);
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

const child = fileURLToPath(new URL("./child.ts", import.meta.url));

/** Somebody else who wants the same file at the same time. */
async function inCompany(
  plan: Case,
  urls: string[],
  pin: string,
  options: FetchOptions,
  outputs: unknown[],
): Promise<void> {
  if (plan.company === "the same process") {
    outputs.push(await inTime(fetchArtifact({ title, urls, sha256: pin }, options)));
  }
  if (plan.company === "a process that is killed") {
    const other = spawn(process.execPath, [child, urls[0] as string, pin, options.cacheDir as string]);
    for (const stream of [other.stdout, other.stderr]) {
      // Node itself shows the arguments of no process; what it prints is ours.
      stream.setEncoding("utf8").on("data", (text: string) => outputs.push(text));
    }
    const timer = setTimeout(() => other.kill("SIGKILL"), 200 + plan.killedAfterMs);
    await once(other, "close");
    clearTimeout(timer);
  }
}

/** No part of a file, and no wrong one, under a name that promises a verified one; no secret in any record. */
function checkFolder(dir: string, plan: Case): void {
  for (const name of readdirSync(dir)) {
    const at = join(dir, name);
    const isFile = lstatSync(at).isFile();
    if (isFile && /^[0-9a-f]{64}$/.test(name)) {
      expect(sha256(readFileSync(at))).toBe(name);
    } else if (isFile) {
      expect(readFileSync(at, "latin1")).not.toContain(secret);
    }
    // A part file belongs to somebody who was killed.
    if (name.endsWith(".part")) {
      expect(plan.company).toBe("a process that is killed");
    }
    expect(name).not.toContain(secret);
  }
}
