import { expect, test } from "vitest";
import { basesOf, pinBases } from "../../images/bases.ts";

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
