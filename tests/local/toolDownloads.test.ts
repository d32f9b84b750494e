import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Answer, inWorld, noNamespace, type World } from "../namespace.ts";
import { archive, ToolClone } from "./toolClone.ts";

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const official = archive({
  "pulumi/pulumi": "#!/bin/sh\necho official\n",
  "pulumi/pulumi-language-nodejs": "#!/bin/sh\n",
});
const flipped = Buffer.from(official);
flipped.writeUInt8(flipped.readUInt8(30_000) ^ 1, 30_000);

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
});
afterEach(() => clone.remove());

const url = () => clone.url("pulumi");
const list = () => clone.lock().pulumi?.sums ?? "";
const hosts = () => join(clone.tools, "pulumi-home/versions", clone.lock().pulumi?.version ?? "", "bin");
const listOf = (bytes: Buffer, name = url().replace(/.*\//, "")) =>
  `${"0".repeat(64)}  other.tar.gz\n${sha256(bytes)}  ${name}\n`;

/** Obtains tools in a world and says where each came from; the last line is the JSON of that. */
async function obtain(world: World, names: string[], env: NodeJS.ProcessEnv = {}, down: string[] = []) {
  const script = `
    const { pulumiTools, serviceTools, obtainAll } = await import("./local/tools.ts");
    const wanted = [...pulumiTools, ...serviceTools].filter(({ name }) => ${JSON.stringify(names)}.includes(name));
    try {
      await obtainAll(wanted);
      console.log(JSON.stringify(Object.fromEntries(wanted.map((tool) => [tool.name, tool.find()?.origin ?? null]))));
    } catch (error) {
      if (error.constructor.name !== "Failure") throw error;
      console.error("error: " + error.message);
      process.exitCode = 1;
    }
  `;
  const command = [process.execPath, "--input-type=module", "-e", script];
  const system = { NODE_USE_SYSTEM_CA: "1" };
  const result = await inWorld(world, command, { cwd: clone.root, env: { ...clone.env, ...system, ...env }, down });
  const last = result.text.trim().split("\n").at(-1) ?? "";
  return { ...result, origins: last.startsWith("{") ? (JSON.parse(last) as Record<string, string>) : undefined };
}

/** Nothing of a download is anywhere: not where tools run from, not beside it, and not in the cache. */
function expectNothing(): void {
  expect(existsSync(join(hosts(), "pulumi"))).toBe(false);
  const left = readdirSync(clone.tools, { recursive: true, encoding: "utf8" });
  expect(left.filter((path) => /pulumi$|\.new-|\.tar|\.part/.test(path))).toEqual([]);
  const cached = existsSync(join(clone.folder, "cache")) ? readdirSync(join(clone.folder, "cache")) : [];
  expect(cached).toEqual([]);
}

describe.skipIf(noNamespace)(`a tool from its download site${noNamespace ? ` (skipped: ${noNamespace})` : ""}`, () => {
  test("is asked for with the CAs that FACECRAFT_CA_BUNDLE names, as its list is", async () => {
    clone.pin("pulumi", sha256(official));
    const nowhere = join(clone.folder, "nowhere.pem");
    const { code, text } = await obtain({ [url()]: { body: official } }, ["pulumi"], { FACECRAFT_CA_BUNDLE: nowhere });
    expect(code).toBe(1);
    expect(text).toContain(
      `error: pulumi ${clone.lock().pulumi?.version}: ${url()} cannot be fetched: the CA bundle ${nowhere} cannot be read`,
    );
    expectNothing();
  });

  test("is unpacked when it is the file of its pin, and is not asked for again", async () => {
    clone.pin("pulumi", sha256(official));
    const first = await obtain({ [url()]: { body: official } }, ["pulumi"]);
    expect(first.origins, first.text).toEqual({ pulumi: "pinned" });
    expect(readFileSync(join(hosts(), "pulumi"), "utf8")).toContain("echo official");
    const second = await obtain({ [url()]: { body: official } }, ["pulumi"]);
    expect(second).toMatchObject({ origins: { pulumi: "pinned" }, asked: [] });
  });

  test("is judged by its publisher's list where the lock has no sum, with names as all kinds of lists write them", async () => {
    clone.pin("pulumi", null);
    const name = `*./dist/${url().replace(/.*\//, "")}`;
    const body = listOf(official, name)
      .replace(/ {2}\*/g, " *")
      .toUpperCase()
      .replaceAll(/ .*$/gm, (rest) => rest.toLowerCase());
    const { origins, text } = await obtain({ [url()]: { body: official }, [list()]: { body } }, ["pulumi"]);
    expect(origins, text).toEqual({ pulumi: "publisher's list" });
  });

  test.each([["pin"], ["list"]])(
    "is refused with both sums when one byte of it is another, judged by its %s",
    async (judge) => {
      clone.pin("pulumi", judge === "pin" ? sha256(official) : null);
      const world = { [url()]: { body: flipped }, [list()]: { body: listOf(official) } };
      const { code, text } = await obtain(world, ["pulumi"]);
      expect(code).toBe(1);
      expect(text).toContain(
        `error: pulumi 3.259.0: ${url()} serves a file with the wrong sha256: expected ${sha256(official)}, actual ${sha256(flipped)}, size ${flipped.length} bytes`,
      );
      expect(text).toContain(judge === "pin" ? "the pin in local/tools/lock.json" : `its publisher's list, ${list()}`);
      expect(text).not.toMatch(/^\s+at /m);
      expectNothing();
    },
  );

  test("is not taken from a pin's place by the list: the pin alone judges", async () => {
    clone.pin("pulumi", sha256(official));
    const world = { [url()]: { body: flipped }, [list()]: { body: listOf(flipped) } };
    expect((await obtain(world, ["pulumi"])).code).toBe(1);
    expectNothing();
  });

  test("is continued where a connection broke off", async () => {
    clone.pin("pulumi", sha256(official));
    const { origins, asked } = await obtain({ [url()]: { body: official, cutAfter: 20_000, times: 3 } }, ["pulumi"]);
    expect(origins).toEqual({ pulumi: "pinned" });
    expect(asked.length).toBeGreaterThan(2);
  });

  test("comes through the proxy of the environment, where that is the only way", async () => {
    clone.pin("pulumi", null);
    const world = { [url()]: { body: official }, [list()]: { body: listOf(official) }, "http://proxy.world.test/": {} };
    const proxy = { HTTPS_PROXY: "http://proxy.world.test:80" };
    const { origins, asked } = await obtain(world, ["pulumi"], proxy, ["get.pulumi.com"]);
    expect(origins).toEqual({ pulumi: "publisher's list" });
    expect(asked).toContain("CONNECT get.pulumi.com:443");
    const { code, text } = await obtain(world, ["buildkitd"], { HTTPS_PROXY: "ftp://me:geheim@proxy" });
    expect(code).toBe(1);
    expect(text).toMatch(/the proxy .*HTTPS_PROXY names cannot be used/);
    expect(text).not.toContain("geheim");
  });

  test("may be redirected to another host, as GitHub does", async () => {
    clone.pin("buildkit", sha256(tools));
    const [from, to] = [clone.url("buildkit"), "https://release-assets.githubusercontent.com/x/1?sig=abc"];
    const world = { [from]: { status: 302, headers: { location: to } }, [to]: { body: tools } };
    const { origins, asked } = await obtain(world, ["buildkitd", "buildctl", "runc"]);
    expect(origins).toEqual({ buildkitd: "pinned", buildctl: "pinned", runc: "pinned" });
    // Three programs, one archive: asked whether it is there, and fetched.
    expect(asked.filter((address) => address === to)).toHaveLength(2);
  });

  const tools = archive({
    "bin/buildkitd": "#!/bin/sh\n",
    "bin/buildctl": "#!/bin/sh\n",
    "bin/buildkit-runc": "#!/bin/sh\n",
  });

  test.each<[string, (files: { body: Buffer }) => World, RegExp, string[]?]>([
    [
      "is cut short every time",
      ({ body }) => ({ [url()]: { body, cutAfter: 30_000 } }),
      /the body ended after|closed in the middle/,
    ],
    ["is gone", () => ({ [url()]: { status: 404 } }), /answered 404/],
    ["is refused", () => ({ [url()]: { status: 403 } }), /answered 403/],
    [
      "is redirected to where nothing is encrypted",
      ({ body }) => ({
        [url()]: { status: 302, headers: { location: "http://mirror.example/pulumi.tar.gz" } },
        "http://mirror.example/pulumi.tar.gz": { body },
      }),
      /redirects from https to http/,
    ],
    ["is on a site that is down", ({ body }) => ({ [url()]: { body } }), /pulumi is missing/, ["get.pulumi.com"]],
  ])("that %s is gotten in another way, and without one, what is missing is said", async (_, world, said, down) => {
    clone.pin("pulumi", sha256(official));
    const { code, text } = await obtain(world({ body: official }), ["pulumi"], {}, down);
    expect(code).toBe(1);
    expect(text).toMatch(said);
    expect(text).toMatch(/error: pulumi is missing: .* there is no Go to build it with/);
    expectNothing();
  });

  test.each<[string, Answer | undefined, RegExp]>([
    ["is missing", undefined, /cannot be had: the server answered 404/],
    ["does not name the file", { body: `${sha256(official)}  pulumi-v3.259.0-windows-x64.zip\n` }, /does not name/],
    ["names it with a SHA-1", { body: `${"a".repeat(40)}  ./${"NAME"}\n` }, /no sha256 of .*, but another kind of sum/],
    ["names it twice, differently", { body: "" }, /with several sums/],
    ["is a page", { body: "<html>Please log in</html>" }, /does not name/],
  ])("is not run when there is no pin and its publisher's list %s", async (name, answer, said) => {
    clone.pin("pulumi", null);
    const file = url().replace(/.*\//, "");
    const twice = `${"a".repeat(64)}  ${file}\n${sha256(official)}  ${file}\n`;
    const body = name.startsWith("names it twice") ? twice : String(answer?.body ?? "").replace("NAME", file);
    const world = { [url()]: { body: official }, ...(answer && { [list()]: { body } }) };
    const { code, text } = await obtain(world, ["pulumi"]);
    expect(code).toBe(1);
    expect(text).toContain("pulumi is not downloaded: local/tools/lock.json has no sum of it");
    expect(text).toMatch(said);
    expectNothing();
  });

  test("is refused when it is the right file with the program missing", async () => {
    const other = archive({ "pulumi/README": "nothing\n" });
    clone.pin("pulumi", sha256(other));
    const { code, text } = await obtain({ [url()]: { body: other } }, ["pulumi"]);
    expect(code).toBe(1);
    expect(text).toContain("there is no pulumi in it");
    expect(existsSync(join(hosts(), "pulumi"))).toBe(false);
  });

  test("is had again when its pin came after it, and is another one", async () => {
    clone.pin("pulumi", null);
    const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
    expect((await obtain(world, ["pulumi"])).origins).toEqual({ pulumi: "publisher's list" });

    clone.pin("pulumi", sha256(official));
    expect(await obtain({}, ["pulumi"])).toMatchObject({ origins: { pulumi: "pinned" }, asked: [] });

    const newer = archive({ "pulumi/pulumi": "#!/bin/sh\necho newer\n" });
    clone.pin("pulumi", sha256(newer));
    expect((await obtain({ [url()]: { body: newer } }, ["pulumi"])).origins).toEqual({ pulumi: "pinned" });
    expect(readFileSync(join(hosts(), "pulumi"), "utf8")).toContain("echo newer");
  });

  test.each([
    ["", "the pin is empty"],
    ["abc", "has 3 digits"],
    [`${"g".repeat(64)}`, 'has the character "g"'],
  ])('is not downloaded while its pin is "%s"', async (pin, said) => {
    clone.pin("pulumi", pin);
    const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
    const { code, text, asked } = await obtain(world, ["pulumi"]);
    expect(code).toBe(1);
    expect(text).toContain(`error: local/tools/lock.json, pulumi,`);
    expect(text).toContain(said);
    expect(asked).toEqual([]);
  });

  test("comes as a plugin, and a stand-in takes its place where nothing judges it", async () => {
    const plugin = archive({ "pulumi-resource-command": "#!/bin/sh\n" });
    clone.pin("pulumi-resource-command", sha256(plugin));
    clone.pin("pulumi-resource-random", null);
    const [command, random] = ["pulumi-resource-command", "pulumi-resource-random"].map((tool) => clone.url(tool)) as [
      string,
      string,
    ];
    // As its publisher makes it: with SHA-1.
    const sums = { body: `${"b".repeat(40)}  ./${random.replace(/.*\//, "")}\n` };
    const world = {
      [command]: { body: plugin },
      [random]: { body: plugin },
      [clone.lock()["pulumi-resource-random"]?.sums ?? ""]: sums,
    };
    const { origins, text } = await obtain(world, ["pulumi-resource-command", "pulumi-resource-random"]);
    expect(origins, text).toEqual({ "pulumi-resource-command": "pinned", "pulumi-resource-random": "stand-in" });
    expect(text).toContain("another kind of sum");
  });

  describe("with FACECRAFT_PINNED_TOOLS=1", () => {
    const pinned = { FACECRAFT_PINNED_TOOLS: "1" };

    test("is taken with a pin", async () => {
      clone.pin("pulumi", sha256(official));
      expect((await obtain({ [url()]: { body: official } }, ["pulumi"], pinned)).origins).toEqual({ pulumi: "pinned" });
    });

    test("is refused with a list only, by a sentence that names it and what to do, and nobody is asked", async () => {
      clone.pin("pulumi", null);
      const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
      const { code, text, asked } = await obtain(world, ["pulumi"], pinned);
      expect(code).toBe(1);
      expect(text).toMatch(/error: FACECRAFT_PINNED_TOOLS refuses pulumi: .*`make update-tools`/);
      expect(asked.filter((address) => address === list())).toEqual([]);
      expectNothing();
    });

    test("is refused when it was brought up by a list before", async () => {
      clone.pin("pulumi", null);
      const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
      expect((await obtain(world, ["pulumi"])).origins).toEqual({ pulumi: "publisher's list" });
      expect((await obtain(world, ["pulumi"], pinned)).text).toContain("refuses pulumi");
    });

    test("is refused from Debian's packages", async () => {
      clone.pin("buildkit", null);
      clone.script("apt-get", "echo asked >&2; exit 1");
      clone.script("dpkg-deb", "exit 1");
      const { text } = await obtain({}, ["runc"], pinned);
      expect(text).toMatch(/error: FACECRAFT_PINNED_TOOLS refuses runc: .*Debian.*`make update-tools`/);
      expect(text).not.toContain("asked");
    });

    test("is built with a Go that is where Go's own archive is unpacked, though not on the PATH", async () => {
      clone.pin("registry", null);
      clone.script("go", 'echo "compiles $1" >&2; exit 1', join(clone.folder, "go/bin"));
      expect((await obtain({}, ["registry"], pinned)).text).toMatch(/compiles build/);
    });

    test("is built with the Go that is here, and with no other that Go would fetch", async () => {
      clone.pin("registry", null);
      clone.script("go", 'echo "toolchain $GOTOOLCHAIN $GOFLAGS" >&2; exit 1');
      const { text } = await obtain({}, ["registry"], pinned);
      expect(text).toMatch(/toolchain local -mod=readonly/);
    });
  });
});
