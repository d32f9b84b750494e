import { describe, expect, test } from "vitest";
import type { Contents } from "../../registry/contents.ts";
import type { ImageFacts } from "../../registry/facts.ts";
import { differenceLines, differenceOf } from "../../reports/image/difference.ts";
import { facts, hex } from "../attest/made.ts";

const contents = facts.contents as Contents;
const [model] = contents.models as [Contents["models"][number]];

const layers = (application: string, venv: number): ImageFacts["layers"] => [
  { digest: `sha256:${hex("1")}`, size: 1000, madeBy: "ADD rootfs.tar /" },
  { digest: `sha256:${application}`, size: 50, madeBy: "COPY --link /layer/application/ / # buildkit" },
  { digest: `sha256:${venv}`, size: venv, madeBy: "COPY --link /layer/venv/ / # buildkit" },
];

const before: ImageFacts = { ...facts, layers: layers(hex("2"), 2000) };

/** A release later: another application, base, model and packages. */
const after: ImageFacts = {
  ...facts,
  digest: `sha256:${hex("0")}`,
  labels: {
    ...facts.labels,
    "org.opencontainers.image.version": "1.3.0",
    "org.opencontainers.image.revision": "9".repeat(40),
    "org.opencontainers.image.base.digest": `sha256:${hex("8")}`,
  },
  layers: layers(hex("3"), 2500),
  contents: {
    ...contents,
    python: [
      ...contents.python.filter(({ name }) => name !== "basicsr"),
      { name: "constructor", version: "1.0", index: "default", file: "c.whl", sha256: hex("7") },
    ],
    debian: contents.debian.map((row) => (row.name === "libc6" ? { ...row, version: "2.36-9+deb12u9" } : row)),
    models: [{ ...model, sha256: hex("f"), sizeBytes: 1_000_000 }],
  },
};

describe("the difference between two images", () => {
  test("is told by what each says of itself", () => {
    expect(differenceOf(before, after)).toEqual({
      from: `${facts.repository}@${facts.digest}`,
      to: `${facts.repository}@${after.digest}`,
      image: [{ name: "version", from: "1.2.3", to: "1.3.0" }],
      application: [
        { name: "commit", from: facts.labels["org.opencontainers.image.revision"], to: "9".repeat(40) },
        { name: "layer", from: `sha256:${hex("2")}`, to: `sha256:${hex("3")}` },
      ],
      base: [{ name: "digest", from: `sha256:${hex("d")}`, to: `sha256:${hex("8")}` }],
      models: [
        { name: `${model.file} sha256`, from: hex("e"), to: hex("f") },
        { name: `${model.file} size`, from: "376.6 MB", to: "1.0 MB" },
      ],
      python: [
        { name: "basicsr", from: "1.4.2", to: null },
        { name: "constructor", from: null, to: "1.0" },
      ],
      debian: [{ name: "libc6", from: "2.36-9+deb12u7", to: "2.36-9+deb12u9" }],
      layers: [
        { title: "base image", from: 1000, to: 1000, same: true },
        { title: "application", from: 50, to: 50, same: false },
        { title: "Python packages", from: 2000, to: 2500, same: false },
      ],
    });
  });

  test("is shown with what came, went and became something else, and what each layer grew by", () => {
    const lines = differenceLines(differenceOf(before, after));
    for (const line of [
      "  - basicsr 1.4.2",
      "  + constructor 1.0",
      "  ~ libc6 2.36-9+deb12u7 -> 2.36-9+deb12u9",
      "    1.0 kB     1.0 kB  the same      base image",
      "      50 B       50 B  other bytes   application",
      "    2.0 kB     2.5 kB  +500 B        Python packages",
      "    3.0 kB     3.5 kB  +500 B        all of it",
    ]) {
      expect(lines).toContain(line);
    }
    expect(differenceLines(differenceOf(after, before))).toContain(
      "    2.5 kB     2.0 kB  -500 B        Python packages",
    );
  });

  test("is none of an image with itself", () => {
    expect(differenceLines(differenceOf(before, before))).toEqual([
      `${facts.repository}@${facts.digest} is one image.`,
    ]);
    const copied = { ...before, digest: `sha256:${hex("0")}` };
    expect(differenceLines(differenceOf(before, copied))).toContain("Models: the same");
  });

  test("to an image of an earlier version is as much as that one says", () => {
    const { contents: _, ...earlier } = before;
    const difference = differenceOf(earlier, after);
    expect(difference.debian).toBeNull();
    expect(difference.python).toContainEqual({ name: "basicsr", from: "1.4.2", to: null });
    expect(difference.models).toContainEqual({ name: `${model.file} sha256`, from: hex("e"), to: hex("f") });
    expect(differenceLines(difference).join("\n")).toContain("Debian packages: not known, because");
  });
});
