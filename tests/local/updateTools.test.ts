import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { filesAt, type ToolLock } from "../../local/toolLock.ts";
import { inWorld, noNamespace, type World } from "../namespace.ts";
import { ToolClone } from "./toolClone.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

let clone: ToolClone;
beforeEach(() => {
  clone = new ToolClone();
  // Every package of npm is the same file here.
  writeFileSync(join(clone.folder, "package.tgz"), "a package");
  clone.script(
    "npm",
    `while [ "$1" != --pack-destination ]; do shift; done; cp ${clone.folder}/package.tgz "$2/x.tgz"`,
  );
});
afterEach(() => clone.remove());

const lockText = () => readFileSync(join(clone.root, "local/tools/lock.json"), "utf8");

/** A world in which every download site serves a file that says its own address, and the lists name those. */
function world(): World {
  const world: World = {};
  for (const tool of Object.values(clone.lock())) {
    for (const { url, sums } of filesAt(tool, tool.version).filter(({ url }) => url.startsWith("https:"))) {
      world[url] = { body: url };
      if (sums !== undefined) {
        world[sums] = { body: `${world[sums]?.body ?? ""}${sha256(url)}  ${url.replace(/.*\//, "")}\n` };
      }
    }
  }
  return world;
}

const update = (world: World, env: NodeJS.ProcessEnv = {}) =>
  inWorld(world, [process.execPath, "local/update-tools.ts"], {
    cwd: clone.root,
    env: { ...clone.env, NODE_USE_SYSTEM_CA: "1", ...env },
  });

describe.skipIf(noNamespace)(`make update-tools${noNamespace ? ` (skipped: ${noNamespace})` : ""}`, () => {
  test("fills the lock for all platforms, says what changed, and has nothing to do the next time", async () => {
    const first = await update(world());
    expect(first.code, first.text).toBe(0);
    for (const [name, tool] of Object.entries(JSON.parse(lockText()) as ToolLock)) {
      for (const [platform, { url, sha256: sum }] of Object.entries(tool.files)) {
        expect(sum).toBe(sha256(url.startsWith("npm:") ? "a package" : url));
        expect(first.text).toContain(`${name}, ${platform}: ${url}\n`);
      }
    }
    expect(first.text).toContain("ANOTHER FILE UNDER THE SAME NAME");
    const filled = lockText();
    const second = await update(world(), { CHECK: "1" });
    expect(second).toMatchObject({ code: 0 });
    expect(second.text).toContain("0 changed");
    expect(lockText()).toBe(filled);
  });

  test("changes nothing with CHECK=1, and fails when the lock would change", async () => {
    const before = lockText();
    expect((await update(world(), { CHECK: "1" })).code).toBe(1);
    expect(lockText()).toBe(before);
  });

  test("does not overwrite what somebody writes into the lock while it downloads", async () => {
    const edited = `${lockText()}\n`;
    writeFileSync(join(clone.folder, "edited"), edited);
    clone.script(
      "npm",
      `while [ "$1" != --pack-destination ]; do shift; done
      cp ${clone.folder}/package.tgz "$2/x.tgz"; cat ${clone.folder}/edited >${clone.root}/local/tools/lock.json`,
    );
    const { code, text } = await update(world());
    expect(code).toBe(1);
    expect(text).toContain(
      "lock.json was changed by somebody else in the meantime. Nothing was replaced; start again.",
    );
    expect(lockText()).toBe(edited);
  });

  test.each<[string, (world: World, url: string, sums: string) => void, RegExp]>([
    [
      "is gone",
      (world, url) => {
        delete world[url];
      },
      /the server answered 404/,
    ],
    [
      "is another one than its publisher's list says",
      (world, _, sums) => {
        world[sums] = { body: `${"a".repeat(64)}  ${clone.url("pulumi").replace(/.*\//, "")}\n` };
      },
      /but its publisher's list .* says a{64}/,
    ],
  ])("changes nothing when one file %s, and names it", async (_, change, said) => {
    const before = lockText();
    const changed = world();
    change(changed, clone.url("pulumi"), clone.lock().pulumi?.sums ?? "");
    const { code, text } = await update(changed);
    expect(code).toBe(1);
    expect(text).toContain("Nothing was changed.");
    expect(text).toContain(`: ${clone.url("pulumi")} `);
    expect(text).toMatch(said);
    expect(lockText()).toBe(before);
  });
});
