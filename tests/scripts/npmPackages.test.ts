import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { settleAll } from "../../scripts/settleAll.ts";
import { Upstream } from "../../scripts/upstream/ask.ts";
import { fromPackageLock } from "../../scripts/upstream/collect.ts";

const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
  packages: Record<string, { deprecated?: string; integrity?: string; version?: string }>;
};

test("package-lock.json has no package that was deprecated when it was locked", () => {
  expect(Object.entries(packages).filter(([, { deprecated }]) => deprecated !== undefined)).toEqual([]);
});

test("package-lock.json has the hash of every package that npm installs", () => {
  const installed = Object.entries(packages).filter(([folder]) => folder !== "");
  expect(installed.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ""))).toEqual([]);
});

test("no package in package-lock.json is deprecated, or gone, by what npm's registry says today", {
  timeout: 300_000,
}, async (context) => {
  const upstream = new Upstream({ root, full: false, pauseMs: 1000 });
  const [first, ...others] = fromPackageLock(root);
  // One first: where nobody answers, the rest need not try.
  const probe = first && (await upstream.ask(first));
  if (first === undefined || probe === undefined || probe.state === "not known") {
    context.skip(`the registry that npm is configured with cannot be asked: ${probe?.detail}`);
    return;
  }
  const asked = await settleAll(others, 12, async (thing) => [thing.name, await upstream.ask(thing)] as const);
  const wrong = asked
    .map((one) =>
      one.status === "fulfilled" ? one.value : (["?", { state: "gone", detail: String(one.reason) }] as const),
    )
    .concat([[first.name, probe]])
    .filter(([, { state }]) => state === "deprecated" || state === "gone")
    .map(([name, { state, detail }]) => `${name} is ${state}: ${detail}`);
  expect(wrong).toEqual([]);
});
