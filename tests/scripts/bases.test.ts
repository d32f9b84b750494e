import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { locate } from "../../registry/references.ts";
import { basesOf, pinBases } from "../../scripts/bases.ts";
import { collect } from "../../scripts/upstream/collect.ts";
import { ToolClone } from "../local/toolClone.ts";
import { inWorld, noNamespace, type World } from "../namespace.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const file = {
  path: "docker/Dockerfile.gpu",
  text: `ARG A=docker.io/library/python:3.11-slim@${digest("1")}\nARG B=localhost:5000/cuda:12\nFROM $A\n`,
  args: ["A", "B"],
};

test("a base is a repository, a tag and maybe a digest", () => {
  expect(basesOf(file)).toEqual([
    { path: file.path, arg: "A", repository: "docker.io/library/python", tag: "3.11-slim", digest: digest("1") },
    { path: file.path, arg: "B", repository: "localhost:5000/cuda", tag: "12", digest: undefined },
  ]);
});

test("new digests are written, and every other byte stays", () => {
  const changes = basesOf(file).map((base) => ({ ...base, now: digest("2") }));
  expect(pinBases(file, changes)).toBe(
    `ARG A=docker.io/library/python:3.11-slim@${digest("2")}\nARG B=localhost:5000/cuda:12@${digest("2")}\nFROM $A\n`,
  );
});

test.each(["python", `python@${digest("1")}`, ""])("the base %j without a tag is refused", (value) => {
  expect(() => basesOf({ ...file, text: `ARG A=${value}\n`, args: ["A"] })).toThrow("must be repository:tag");
});

test.skipIf(noNamespace)(
  `make update-bases keeps bytes that are no UTF-8${noNamespace ? ` (skipped: ${noNamespace})` : ""}`,
  async () => {
    const clone = new ToolClone();
    onTestFinished(() => clone.remove());
    const path = join(clone.root, "docker/Dockerfile.cpu");
    const before = Buffer.concat([readFileSync(path), Buffer.from([0x23, 0xff, 0xfe, 0xc3, 0x28, 0x0a])]);
    writeFileSync(path, before);
    const body = JSON.stringify({ mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
    const world: World = {};
    for (const thing of collect(clone.root)) {
      if (thing.kind === "base image" && thing.tag) {
        world[`https://registry-1.docker.io/v2/${locate(thing.repository).path}/manifests/${thing.tag}`] = { body };
      }
    }
    const { code, text } = await inWorld(world, [process.execPath, "scripts/update-bases.ts"], {
      cwd: clone.root,
      env: { ...clone.env, NODE_USE_SYSTEM_CA: "1" },
    });
    expect(code, text).toBe(0);
    const pinned = createHash("sha256").update(body).digest("hex");
    const expected = before.toString("latin1").replaceAll(/^(ARG \w+_IMAGE=\S+@sha256:)[0-9a-f]{64}$/gm, `$1${pinned}`);
    expect(readFileSync(path, "latin1")).toBe(expected);
  },
);
