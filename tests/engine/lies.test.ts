// Sources, configs, registries and kills that fast-check makes up; whatever they are, what the program says must be so. See ../fuzz.ts.
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { locksOf, refuseLocked } from "../../local/locks.ts";
import { unlock } from "../../local/unlock.ts";
import { endLeftovers } from "../../local/updates.ts";
import { fuzz, isAskedFor } from "../fuzz.ts";
import { type Config, configNamed, rightConfig, unchanged, wrongConfig } from "./lies/configs.ts";
import { expectUnchanged, judgeDrift, judgeRelease, judgeTags, ofTheClone, registryOf } from "./lies/judge.ts";
import { judgeReport, preview } from "./lies/previews.ts";
import {
  disturbance,
  disturbances,
  disturbUpstream,
  grumpy,
  grumpyWords,
  reportedOf,
  serveGrumpily,
  standingsOf,
  stops,
  upstream,
} from "./lies/registries.ts";
import { mustBeRefused, plainSource, source, wrongSource } from "./lies/sources.ts";
import { killableUpdate, type Told, World } from "./lies/world.ts";

// The same cases for every change of the project, so that none fails by what another would have drawn.
const { runs, seed, parameters } = fuzz(20, 1);

let world: World;

beforeAll(async () => {
  console.log(`FACECRAFT_FUZZ_SEED=${seed} replays these ${runs} cases`);
  world = await World.make();
  await release();
});
afterAll(() => world?.remove());

/** Of 30 cases, `share` are of this kind; a case that fails is not made smaller, because that takes many more. */
function cases<T>(name: string, share: number, arbitrary: fc.Arbitrary<T>, holds: (plan: T) => Promise<void>): void {
  const numRuns = Math.max(1, Math.round((runs * share) / 30));
  test(
    `${name} (${numRuns} cases)`,
    async () => {
      const property = fc.asyncProperty(arbitrary, async (plan) => {
        const started = Date.now();
        await holds(plan);
        if (isAskedFor) {
          console.log(`${((Date.now() - started) / 1000).toFixed(1)} s: ${fc.stringify(plan)}`);
        }
      });
      await fc.assert(property, { ...parameters, numRuns });
    },
    numRuns * 180_000,
  );
}

/** An update that must succeed, after which everything that it says must be so. */
async function release(config: Config = unchanged, place?: ReturnType<World["place"]>): Promise<Told> {
  world.configure(config, place?.folder);
  const told = await world.up(place?.environment);
  expect(told.code, `the update failed:\n${told.text}`).toBe(0);
  await judgeRelease(world, config, place, told);
  return told;
}

/** An update that must fail in a sentence, and publish nothing. */
async function expectRefused(environment: Record<string, string> = {}): Promise<void> {
  const before = { registry: await registryOf(world), outputs: await world.clone.outputs() };
  const { code, text } = await world.up(environment);
  expect(code, `this was not refused:\n${text}`).not.toBe(0);
  expectUnchanged(before.registry, await registryOf(world), "the update was refused");
  expect(await world.clone.outputs(), "the update was refused, but the outputs are others").toEqual(before.outputs);
  expect(text, "a stack trace is no sentence").not.toMatch(/^\s+at .*:\d+:\d+/m);
}

/** Once in so many cases. */
const onceIn = <T>(many: number, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: many - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

// 3 s, and 3 s more where the preview says that nothing changes, or 5 s where the registry has to be put right.
cases(
  "a report of a preview says what happened",
  8,
  fc.record({
    source: onceIn(2, fc.oneof({ weight: 3, arbitrary: source }, { weight: 1, arbitrary: wrongSource })),
    config: fc.oneof(
      { weight: 2, arbitrary: fc.constant(unchanged.what) },
      { weight: 1, arbitrary: rightConfig },
      { weight: 1, arbitrary: wrongConfig },
    ),
    registry: onceIn(3, disturbance),
    upstream: fc.oneof(fc.constant("as it was" as const), upstream),
    killedAfterMs: onceIn(5, fc.nat(4000)),
  }),
  async (plan) => {
    const place = plan.source && world.place(plan.source);
    world.configure(configNamed(plan.config), place?.folder);
    if (plan.registry) {
      await disturbances[plan.registry](world);
    }
    const restore = await disturbUpstream(world, plan.upstream);
    const before = await registryOf(world);
    const previewed = await preview(world, plan.killedAfterMs);
    expectUnchanged(before, await registryOf(world), "there was only a preview");
    try {
      await judgeReport(
        world,
        previewed,
        reportedOf(plan.upstream),
        place ?? ofTheClone(world),
        plan.killedAfterMs !== undefined,
      );
      if (plan.source && mustBeRefused(plan.source)) {
        expect(previewed.report.result, "this source may not be built").toBe("failed");
      }
      if (previewed.report.result === "unchanged") {
        const { code, text } = await world.up({}, "--expect-no-changes");
        expect(code, `the report says that nothing changes:\n${text}`).toBe(0);
        expectUnchanged(before, await registryOf(world), "nothing was to change");
      }
    } finally {
      await restore();
      if (plan.registry) {
        await release();
      }
    }
  },
);

// 1 s, and 6 s for the update that puts it right.
cases(
  "drift and the next update say what became of tags, images and models",
  4,
  fc.record({
    registry: fc.uniqueArray(disturbance, { minLength: 1, maxLength: 2 }),
    upstream: fc.oneof(fc.constant("as it was" as const), upstream),
    isRepaired: fc.boolean(),
  }),
  async (plan) => {
    world.configure();
    for (const one of plan.registry) {
      await disturbances[one](world);
    }
    const restore = await disturbUpstream(world, plan.upstream);
    await judgeDrift(world, standingsOf(plan.upstream)).finally(() => (plan.isRepaired ? restore() : undefined));
    if (!plan.isRepaired) {
      const { code, text } = await world.up().finally(restore);
      expect(code !== 0, `the upstream's file is: ${plan.upstream}:\n${text}`).toBe(stops(plan.upstream));
    }
    await release();
    expect(await judgeDrift(world, standingsOf("as it was")), "it was put right").toBe(0);
  },
);

// 5 s, and 8 s for the update that follows.
cases(
  "a registry that refuses leaves nothing half-said",
  2,
  fc.record({ grumpy, mark: fc.nat(1e9).map(String) }),
  async (plan) => {
    const { host, stop } = await serveGrumpily(world, plan.grumpy);
    const drift = await world.driftAt(host);
    const unread = plan.grumpy.refuses === "reading";
    expect(drift.text.match(/^not known/gm) ?? [], "what the registry did not say").toHaveLength(unread ? 3 : 0);
    expect(drift.code, `the exit code of drift is not that of its answers:\n${drift.text}`).toBe(unread ? 3 : 0);
    const place = world.place(plainSource(plan.mark));
    const before = await registryOf(world);
    world.clone.writeConfig((text) =>
      text
        .replace(/source: .*/, `source: ${JSON.stringify(place.folder)}`)
        .replace(/repository: \S+?\//, `repository: ${host}/`),
    );
    const { code, text } = await world.up().finally(stop);
    expect(code, `the registry refused, but the update did not fail:\n${text}`).not.toBe(0);
    // Of a manifest that is refused, the builder passes on the registry's words, and no status.
    const answered = plan.grumpy.refuses === "manifests" ? grumpyWords : String(plan.grumpy.status);
    expect(text, "the registry's answer is not told").toContain(answered);
    expectUnchanged(before, await registryOf(world), "the registry refused");
    await release(unchanged, place);
  },
);

// 8 s each: another application is another image. Those that are refused take 3 s.
cases(
  "a release holds the files of its revision, and names those that are not",
  9,
  fc.oneof({ weight: 3, arbitrary: source }, { weight: 1, arbitrary: wrongSource }),
  async (plan) => {
    const place = world.place(plan);
    if (plan.isSnapshotEdited) {
      await world.editSnapshots(place.folder);
    }
    if (mustBeRefused(plan)) {
      world.configure(unchanged, place.folder);
      await expectRefused(place.environment);
    } else {
      await release(unchanged, place);
    }
  },
);

// 3 s where it is refused, 6 s where it is not.
cases(
  "a release is what its config asks for, or is refused before anything is pushed",
  4,
  fc.oneof({ weight: 1, arbitrary: rightConfig }, { weight: 2, arbitrary: wrongConfig }),
  async (what) => {
    const config = configNamed(what);
    world.configure(config);
    if (config.outcome === "released") {
      await release(config);
      return;
    }
    const before = await registryOf(world);
    if (config.outcome === "refused") {
      await expectRefused();
    } else if ((await world.up()).code === 0) {
      await judgeRelease(world, config);
    } else {
      expectUnchanged(before, await registryOf(world), "the update failed");
    }
  },
);

// Until the kill, and 8 s for the update that follows.
cases(
  "an update that was killed leaves nothing that is not so after the next one",
  3,
  fc.record({ killedAfterMs: fc.nat(8000), mark: fc.nat(1e9).map(String) }),
  async (plan) => {
    const place = world.place(plainSource(plan.mark));
    world.configure(unchanged, place.folder);
    const update = killableUpdate(world);
    await Promise.race([sleep(plan.killedAfterMs), update.ended]);
    update.kill();
    await update.ended;

    const stack = { state: world.clone.state, project: "facecraft", stack: world.clone.stack };
    // A process that is killed takes a moment to be gone.
    for (let i = 0; i < 100 && locksOf(stack).some(({ alive }) => alive); i++) {
      await sleep(50);
    }
    if (locksOf(stack).length > 0) {
      expect(() => refuseLocked(stack, "make unlock")).toThrow("no longer runs");
      await unlock(stack, false);
    }
    await endLeftovers();
    const drift = await world.clone.drift();
    if (drift.code === 0) {
      await judgeTags(world);
    }
    await release(unchanged, place);
  },
);
