import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collect } from "../../scripts/upstream/collect.ts";
import type { Thing } from "../../scripts/upstream/things.ts";
import { ToolClone } from "../local/toolClone.ts";
import { inWorld, noNamespace, type World } from "../namespace.ts";

const sha256 = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
const npm = "https://npm.world.test";

let clone: ToolClone;
let things: Thing[];
let world: World;

beforeEach(() => {
  clone = new ToolClone();
  edit((text) => text.replaceAll(/@sha256:[0-9a-f]{64}/g, `@sha256:${sha256(manifest)}`));
  things = collect(clone.root);
  world = worldOf(things);
});
afterEach(() => clone.remove());

const manifest = JSON.stringify({ mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });

function edit(change: (text: string) => string): void {
  for (const file of globSync(["docker/Dockerfile.{cpu,gpu}", "local/tools/buildkit/Dockerfile"], {
    cwd: clone.root,
  })) {
    writeFileSync(join(clone.root, file), change(readFileSync(join(clone.root, file), "utf8")));
  }
}

/** Servers that have all of it. */
function worldOf(things: readonly Thing[]): World {
  const world: World = {};
  const packages: Record<string, Record<string, object>> = {};
  for (const thing of things) {
    switch (thing.kind) {
      case "base image":
        for (const reference of [thing.tag, thing.digest].filter(Boolean)) {
          world[imageUrl(thing, reference)] = { body: manifest };
        }
        break;
      case "torch index": {
        const page = `${thing.index}/${thing.package}/`;
        const file = `${thing.package}-${thing.version.replace("+", "%2B")}-cp311-cp311-linux_x86_64.whl`;
        world[page] = { body: `<a href="/whl/${file}#sha256=0">${file}</a>` };
        break;
      }
      case "npm package":
        packages[thing.package] = { ...packages[thing.package], [thing.version]: {} };
        world[`${npm}/${thing.package.replace("/", "%2f")}`] = {
          body: JSON.stringify({ versions: packages[thing.package] }),
        };
        break;
      case "action":
        world[commitUrl(thing.repository, thing.ref)] = { body: "{}" };
        break;
      case "commit":
        world[commitUrl("djok/facecraft", thing.commit)] = { body: "{}" };
        break;
      default:
        world[thing.url] = { body: `what is served at ${thing.url}` };
    }
  }
  return world;
}

const imageUrl = (thing: Extract<Thing, { kind: "base image" }>, reference = "") =>
  `https://registry-1.docker.io/v2/${thing.repository.replace(/^docker\.io\//, "")}/manifests/${reference}`;
const commitPage = (repository: string, commit: string) => `https://github.com/${repository}/commit/${commit}`;
const commitUrl = (repository: string, commit: string) =>
  `https://api.github.com/repos/${repository}/git/commits/${commit}`;

/** One thing of a kind, and where it is asked for. */
function one(kind: Thing["kind"]): { thing: Thing; url: string } {
  const thing = things.find((thing) => thing.kind === kind) as Thing;
  switch (thing.kind) {
    case "base image":
      return { thing, url: imageUrl(thing, thing.digest) };
    case "torch index":
      return { thing, url: `${thing.index}/${thing.package}/` };
    case "npm package":
      return { thing, url: `${npm}/${thing.package.replace("/", "%2f")}` };
    case "action":
      return { thing, url: commitUrl(thing.repository, thing.ref) };
    case "commit":
      return { thing, url: commitUrl("djok/facecraft", thing.commit) };
    default:
      return { thing, url: thing.url };
  }
}

const check = (env: NodeJS.ProcessEnv = {}, down: string[] = []) =>
  inWorld(world, [process.execPath, "scripts/check-upstream.ts"], {
    cwd: clone.root,
    env: {
      ...clone.env,
      PATH: `${join(process.execPath, "..")}:${process.env.PATH}`,
      NODE_USE_SYSTEM_CA: "1",
      npm_config_registry: npm,
      ...env,
    },
    down,
  });

/** The rows of the table that are no "there". */
const conspicuous = (text: string) =>
  text.split("\n").filter((line) => /^(gone|changed|deprecated|not known) /.test(line));
const row = (state: string, { kind, name }: Thing) =>
  new RegExp(`^${[state, kind, name].map((text) => text.replaceAll(/[.*+?()[\]|]/g, "\\$&")).join(" +")} `);

const kinds: Thing["kind"][] = [
  "base image",
  "model",
  "torch index",
  "tool",
  "plugin",
  "action",
  "commit",
  "npm package",
  "address",
];

describe.skipIf(noNamespace)(`make check-upstream${noNamespace ? ` (skipped: ${noNamespace})` : ""}`, () => {
  test("has nothing to say when all is there, and has asked for every thing", async () => {
    const { code, text, asked } = await check();
    expect(conspicuous(text)).toEqual([]);
    expect(text).toMatch(new RegExp(`^${things.length} asked: ${things.length} there, 0 gone$`, "m"));
    expect(text).toMatch(/^there +model +CodeFormer +\d+ B, ETag "1" +\(docker\/Dockerfile.cpu\)$/m);
    expect(text).toMatch(/^there +base image +docker.io\/library\/python:3.11-slim +the tag names it/m);
    expect(new Set(asked)).toEqual(new Set(Object.keys(world)));
    expect(code).toBe(0);
  });

  test.each([
    [404, "gone", 1],
    [410, "gone", 1],
    [401, "not known", 0],
    [403, "not known", 0],
    [500, "not known", 0],
  ] as const)("calls what is answered with %d %s, of every kind", async (status, state, expected) => {
    const broken = kinds.map(one);
    for (const { url } of broken) {
      world[url] = { status };
      const [, repository = "", commit = ""] = /api\.github\.com\/repos\/(.+)\/git\/commits\/(.+)/.exec(url) ?? [];
      world[commitPage(repository, commit)] = { status };
    }
    const { code, text } = await check();
    const rows = conspicuous(text);
    for (const { thing } of broken) {
      expect(rows).toContainEqual(expect.stringMatching(row(state, thing)));
    }
    expect(rows.filter((line) => !line.startsWith(state) || !line.includes(String(status)))).toEqual([]);
    expect(code).toBe(expected);
  });

  test("does not call anything gone when nobody answers", async () => {
    const hosts = [...new Set(Object.keys(world).map((url) => new URL(url).hostname))];
    const { code, text } = await check({}, hosts);
    expect(text).toMatch(new RegExp(`^${things.length} asked: 0 there, ${things.length} not known, 0 gone$`, "m"));
    expect(code).toBe(0);
  });

  test("follows a redirect to another host, and calls gone what is not there", async () => {
    const model = one("model");
    const tool = one("tool");
    const mirror = "https://mirror.world.test/model";
    world[model.url] = { status: 302, headers: { location: mirror } };
    world[mirror] = { body: "x".repeat(1234) };
    world[tool.url] = { status: 307, headers: { location: "https://mirror.world.test/nothing" } };
    const { code, text } = await check();
    expect(text).toMatch(/^there +model .* 1\.2 kB/m);
    expect(conspicuous(text)).toEqual([expect.stringMatching(row("gone", tool.thing))]);
    expect(code).toBe(1);
  });

  test("asks for a commit's page where GitHub's API limits how often it is asked", async () => {
    const [first, second] = things.filter((thing) => thing.kind === "action") as Extract<Thing, { kind: "action" }>[];
    for (const action of [first, second]) {
      world[commitUrl(action?.repository ?? "", action?.ref ?? "")] = { status: 403 };
    }
    world[commitPage(first?.repository ?? "", first?.ref ?? "")] = { body: "a page" };
    const { code, text } = await check({ GITHUB_TOKEN: "not-one" });
    expect(conspicuous(text)).toEqual([expect.stringMatching(row("gone", second as Thing))]);
    expect(code).toBe(1);
  });

  test("says what a tag names now, and that is no failure", async () => {
    const image = things.find((thing) => thing.kind === "base image" && thing.digest) as Extract<
      Thing,
      { kind: "base image" }
    >;
    const newer = `${manifest}\n`;
    world[imageUrl(image, image.tag)] = { body: newer };
    const { code, text } = await check();
    expect(text).toContain(`the tag names sha256:${sha256(newer)} now`);
    expect(code).toBe(0);
  });

  test("fails when an index serves other versions", async () => {
    const { thing, url } = one("torch index");
    world[url] = { body: '<a href="torch-2.4.0%2Bcpu-cp311-cp311-linux_x86_64.whl">' };
    const { code, text } = await check();
    expect(conspicuous(text)).toEqual([expect.stringMatching(row("gone", thing))]);
    expect(code).toBe(1);
  });

  test("fails when npm marks a package deprecated, or has unpublished its version", async () => {
    const [first, second] = things.filter((thing) => thing.kind === "npm package") as Extract<
      Thing,
      { kind: "npm package" }
    >[];
    const url = ({ package: name }: { package: string }) => `${npm}/${name.replace("/", "%2f")}`;
    if (!first || !second) {
      throw new Error("there are fewer than two packages");
    }
    world[url(first)] = { body: JSON.stringify({ versions: { [first.version]: { deprecated: "use another" } } }) };
    world[url(second)] = { body: JSON.stringify({ versions: { "0.0.1": {} } }) };
    const { code, text } = await check();
    expect(conspicuous(text)[0]).toMatch(row("deprecated", first));
    expect(conspicuous(text)[0]).toContain("use another");
    expect(conspicuous(text)[1]).toMatch(row("gone", second));
    expect(code).toBe(1);
  });

  test("does not call a package gone where its registry is a page that wants a login", async () => {
    const { thing, url } = one("npm package");
    world[url] = { body: "<html>Please log in</html>" };
    const { code, text } = await check();
    expect(conspicuous(text)).toEqual([expect.stringMatching(row("not known", thing))]);
    expect(code).toBe(0);
  });

  test("hashes the models with FULL=1, decompressed, and fails when one is not that of its pin", async () => {
    const plain = Buffer.from("a model ".repeat(1000));
    edit((text) => text.replaceAll(/(_SHA256=)[0-9a-f]{64}/g, `$1${sha256(plain)}`));
    const urls = things.flatMap((thing) => (thing.kind === "model" ? [thing.url] : []));
    const packed = execFileSync("bzip2", ["-c"], { input: plain });
    for (const url of urls) {
      world[url] = { body: url.endsWith(".bz2") ? packed : plain };
    }
    const good = await check({ FULL: "1" });
    expect(good.text.match(/^there +model .* it is the file of its pin/gm)).toHaveLength(urls.length);
    expect(good.code).toBe(0);

    world[urls[1] ?? ""] = { body: "another model" };
    const bad = await check({ FULL: "1" });
    expect(conspicuous(bad.text)).toEqual([
      expect.stringContaining(`its sha256 is ${sha256("another model")}, the pin is ${sha256(plain)}`),
    ]);
    expect(bad.code).toBe(1);
    expect((await check()).code).toBe(0);
  });
});
