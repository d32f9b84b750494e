import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { inWorld, noNamespace, type World } from "../namespace.ts";
import { archive, ToolClone } from "./toolClone.ts";

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const official = archive({ "node-v24/bin/node": '#!/bin/sh\necho "official node runs $*"\n' });
const flipped = Buffer.from(official);
flipped.writeUInt8(flipped.readUInt8(30_000) ^ 1, 30_000);
const packaged = archive({ "package/bin/node": '#!/bin/sh\necho "node of npm runs $*"\n' });

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
  clone.pin("node", sha256(official));
});
afterEach(() => clone.remove());

const url = () => clone.url("node");
const list = () => clone.lock().node?.sums ?? "";
const version = () => readFileSync(join(clone.root, ".node-version"), "utf8").trim();
const listOf = (bytes: Buffer, name = url().replace(/.*\//, "")) =>
  `${"0".repeat(64)}  other.tar.gz\n${sha256(bytes)}  ${name}\n`;

const start = (world: World, env: NodeJS.ProcessEnv = {}, down: string[] = []) =>
  inWorld(world, ["local/run", "doctor"], { cwd: clone.root, env: { ...clone.env, ...env }, down });

/** An npm that knows one package and says what it was asked for. */
function npm(bytes: Buffer): void {
  const file = join(clone.folder, "package.tgz");
  writeFileSync(file, bytes);
  clone.script(
    "npm",
    `for last; do :; done; echo "npm $1 $last" >&2; while [ "$1" != --pack-destination ]; do shift; done; cp ${file} "$2/x.tgz"`,
  );
}

function expectNothing(): void {
  const folder = join(clone.tools, "node");
  expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
}

describe.skipIf(noNamespace)(`Node.js${noNamespace ? ` (skipped: ${noNamespace})` : ""}`, () => {
  test("comes from its download site when it is the file of its pin, and is not asked for again", async () => {
    const first = await start({ [url()]: { body: official } });
    expect(first.text).toContain("official node runs local/cli.ts doctor");
    const record = JSON.parse(readFileSync(join(clone.tools, `node/v${version()}/.facecraft.json`), "utf8"));
    expect(record).toEqual({ url: url(), sha256: sha256(official), judge: "pin" });
    const second = await start({ [url()]: { body: official } });
    expect(second).toMatchObject({ code: 0, text: "official node runs local/cli.ts doctor\n", asked: [] });
    expect(readdirSync(join(clone.tools, "node"))).toEqual([`v${version()}`]);
  });

  test("may be redirected to another host", async () => {
    const mirror = "https://mirror.example/node.tar.gz";
    const { text } = await start({
      [url()]: { status: 302, headers: { location: mirror } },
      [mirror]: { body: official },
    });
    expect(text).toContain("official node runs");
  });

  test("comes through the proxy of the environment, where that is the only way", async () => {
    const world = { [url()]: { body: official }, "http://proxy.world.test/": {} };
    const { text, asked } = await start(world, { HTTPS_PROXY: "http://proxy.world.test:80" }, ["nodejs.org"]);
    expect(text).toContain("official node runs");
    expect(asked).toContain("CONNECT nodejs.org:443");
  });

  test("is judged by its publisher's list where the lock has no sum", async () => {
    clone.pin("node", null);
    const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
    expect((await start(world)).text).toContain("official node runs");
    expect((await start(world)).asked).toEqual([]);
  });

  test("of a newer version than the lock's is judged by that version's list", async () => {
    writeFileSync(join(clone.root, ".node-version"), "24.99.0\n");
    const at = (address: string) => address.replaceAll("24.21.0", "24.99.0");
    const body = listOf(official, at(url()).replace(/.*\//, ""));
    const { text } = await start({ [at(url())]: { body: official }, [at(list())]: { body } });
    expect(text).toContain("official node runs");
  });

  test.each([["pin"], ["list"]])(
    "is refused with both sums when one byte is another, judged by its %s",
    async (judge) => {
      clone.pin("node", judge === "pin" ? sha256(official) : null);
      npm(packaged);
      const { code, text } = await start({ [url()]: { body: flipped }, [list()]: { body: listOf(official) } });
      expect(code).toBe(1);
      expect(text).toContain(
        `error: Node.js ${version()}: ${url()} serves a file with the wrong sha256: expected ${sha256(official)}, actual ${sha256(flipped)}, size ${flipped.length} bytes.`,
      );
      expect(text).not.toMatch(/runs|npm pack/);
      expectNothing();
    },
  );

  test.each<[string, World, string[]?]>([
    ["is cut short", { "": { body: official, cutAfter: 30_000 } }],
    ["is gone", { "": { status: 404 } }],
    ["is on a site that is down", { "": { body: official } }, ["nodejs.org"]],
  ])("that %s is taken from npm, where its pin judges it, too", async (_, { "": answer = {} }, down) => {
    npm(packaged);
    clone.pin("node-npm", sha256(packaged));
    const world = { [url()]: answer };
    const { text } = await start(world, {}, down);
    expect(text).toContain(`npm pack node-linux-`);
    expect(text).toContain("node of npm runs local/cli.ts doctor");

    clone.pin("node-npm", sha256(official));
    const other = await start(world, {}, down);
    expect(other.code).toBe(1);
    expect(other.text).toContain(`expected ${sha256(official)}, actual ${sha256(packaged)}`);
    expectNothingBut(`v${version()}`);
  });

  test("that stalls is taken from npm", async () => {
    npm(packaged);
    clone.pin("node-npm", sha256(packaged));
    // With less patience.
    const curl = execFileSync("sh", ["-c", "command -v curl"], { encoding: "utf8" }).trim();
    rmSync(join(clone.bin, "curl"));
    clone.script("curl", `exec ${curl} $(echo "$@" | sed 's/--speed-time [0-9]*/--speed-time 1/; s/--retry [0-9]*//')`);
    const { text } = await start({ [url()]: { body: official, cutAfter: 30_000, stalls: true } });
    expect(text).toContain("node of npm runs local/cli.ts doctor");
  });

  test.each(["file", "list"])("whose %s is redirected to where nothing is encrypted is not taken", async (what) => {
    clone.pin("node", what === "file" ? sha256(official) : null);
    const [body, plain] = [what === "file" ? official : listOf(official), "http://mirror.example/x"];
    const from = what === "file" ? url() : list();
    const redirect = { [from]: { status: 302, headers: { location: plain } }, [plain]: { body } };
    const { code, text, asked } = await start({ [url()]: { body: official }, ...redirect });
    expect(code).toBe(1);
    expect(text).not.toContain("runs");
    expect(asked).not.toContain(plain);
  });

  test("is judged by a list whose lines end as on Windows", async () => {
    clone.pin("node", null);
    const body = listOf(official).replaceAll("\n", "\r\n");
    expect((await start({ [url()]: { body: official }, [list()]: { body } })).text).toContain("official node runs");
  });

  function expectNothingBut(...names: string[]): void {
    expect(readdirSync(join(clone.tools, "node"))).toEqual(names);
  }

  test.each([
    ["is missing", undefined],
    ["names other files only", `${sha256(official)}  node-v24.21.0-win-x64.zip\n`],
    ["has sums of another kind", `${"a".repeat(40)}  NAME\n`],
    ["names it with several sums", `${sha256(official)}  NAME\n${"a".repeat(64)}  NAME\n`],
    ["is a page", "<html>Please log in</html>"],
  ])("is not run when there is no pin and its publisher's list %s", async (_, text) => {
    clone.pin("node", null);
    const body = text?.replaceAll("NAME", url().replace(/.*\//, "")) ?? "";
    const world = { [url()]: { body: official }, ...(text !== undefined && { [list()]: { body } }) };
    const { code, text: said } = await start(world);
    expect(code).toBe(1);
    expect(said).toContain("neither local/tools/lock.json nor its publisher's list has a sha256 of it");
    expect(said).toMatch(/error: there is no Node.js 22.18 or newer/);
    expect(said).not.toContain("runs");
    expectNothing();
  });

  test.each(["", "abc", "g".repeat(64), "A".repeat(64)])('is not downloaded while its pin is "%s"', async (pin) => {
    clone.pin("node", pin);
    const { code, text, asked } = await start({ [url()]: { body: official }, [list()]: { body: listOf(official) } });
    expect(code).toBe(1);
    expect(text).toContain("it must be 64 hexadecimal digits, or null");
    expect(asked).toEqual([]);
    expectNothing();
  });

  describe("with FACECRAFT_PINNED_TOOLS=1", () => {
    const pinned = { FACECRAFT_PINNED_TOOLS: "1" };

    test("is taken with a pin", async () => {
      expect((await start({ [url()]: { body: official } }, pinned)).text).toContain("official node runs");
    });

    test("is refused without one, by a sentence that says what to do, and nobody is asked", async () => {
      clone.pin("node", null);
      clone.pin("node-npm", null);
      npm(packaged);
      const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
      const { code, text, asked } = await start(world, pinned);
      expect(code).toBe(1);
      expect(text).toMatch(/error: FACECRAFT_PINNED_TOOLS refuses Node.js .*`make update-tools`/);
      expect(text).not.toContain("npm pack");
      expect(asked).toEqual([]);
    });

    test("is refused when it was brought up by a list before", async () => {
      clone.pin("node", null);
      clone.pin("node-npm", null);
      const world = { [url()]: { body: official }, [list()]: { body: listOf(official) } };
      expect((await start(world)).text).toContain("official node runs");
      expect((await start(world, pinned)).text).toContain("refuses Node.js");
    });
  });
});
