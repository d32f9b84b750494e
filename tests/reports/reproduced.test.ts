import { describe, expect, test } from "vitest";
import { type Inside, isReproduced, judgeLayer, type LayerOf } from "../../reports/reproduced.ts";
import { facts } from "../attest/made.ts";

const layer = (digit: string, diffId = digit): LayerOf => ({ digest: `sha256:${digit}`, diffId, madeBy: "" });
const inside = (original: Record<string, string>, again: Record<string, string>): Inside => ({
  original: new Map(Object.entries(original)),
  again: new Map(Object.entries(again)),
});

describe("a layer that was built again", () => {
  test("is equal by its digest, or by its content", () => {
    expect(judgeLayer("application", layer("1"), layer("1"))).toMatchObject({ state: "equal", why: "" });
    const packed = judgeLayer("application", layer("1", "d"), layer("2", "d"));
    expect(packed).toMatchObject({
      state: "packed otherwise",
      why: expect.stringContaining("another version of the builder"),
    });
    expect(isReproduced([packed])).toBe(true);
  });

  test.each([
    ["measurements of the proof", "how long the proof took"],
    ["compiled in the build", "numba puts addresses"],
  ])("is known to differ in the content of its files, and in nothing else: %s", (title, why) => {
    const same = judgeLayer(title, layer("1"), layer("2"), inside({ a: "file 1" }, { a: "file 2" }));
    expect(same).toMatchObject({ state: "as known", why: expect.stringContaining(why) });
    expect(isReproduced([same])).toBe(true);
    const more = judgeLayer(title, layer("1"), layer("2"), inside({ a: "file 1" }, { a: "file 1", b: "file 2" }));
    expect(more).toMatchObject({ state: "different", why: "Only in the one built again: b." });
  });

  test("that differs names what does", () => {
    const is = { a: "file 1", gone: "file 1", same: "folder", link: "link x" };
    const again = { a: "file 2", new: "file 1", same: "folder", link: "link y" };
    const found = judgeLayer("Python packages", layer("1"), layer("2"), inside(is, again));
    expect(found.why).toBe(
      "Only in the registry's: gone; only in the one built again: new; with other content: a, link.",
    );
    expect(isReproduced([found])).toBe(false);
    const many = Object.fromEntries([..."abcdefgh"].map((name) => [name, "file 1"]));
    expect(judgeLayer("application", layer("1"), layer("2"), inside(many, {})).why).toBe(
      "Only in the registry's: a, b, c, d, e and 3 more.",
    );
    expect(judgeLayer("application", layer("1"), layer("2"), inside(is, is)).why).toBe(
      "It has the same files, with other owners, modes, times, or in another order.",
    );
    expect(judgeLayer("application", layer("1"), undefined)).toMatchObject({
      state: "different",
      why: expect.stringContaining("no such layer"),
    });
  });

  test("and is of Debian's packages says which have other versions", () => {
    const { contents } = facts;
    const debian = contents?.debian.map((row) => (row.name === "libc6" ? { ...row, version: "2.36-9+deb12u9" } : row));
    const again = contents && debian && { ...contents, debian };
    const files = inside({ "usr/lib/libc.so.6": "file 1" }, { "usr/lib/libc.so.6": "file 2" });
    const found = judgeLayer("system packages", layer("1"), layer("2"), files, { original: contents, again });
    expect(found.why).toBe(
      "Debian serves other versions now: libc6 2.36-9+deb12u9 in place of 2.36-9+deb12u7. With other content: usr/lib/libc.so.6.",
    );
    const older = judgeLayer("record of the proof", layer("1"), layer("2"), files, { original: undefined, again });
    expect(older.why).toBe("With other content: usr/lib/libc.so.6.");
  });
});
