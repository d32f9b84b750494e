import { describe, expect, test } from "vitest";
import {
  digestPattern,
  fullName,
  imagePattern,
  isLoopback,
  locate,
  nameOf,
  parseReference,
  pinnedImagePattern,
  repositoryPattern,
  splitReference,
} from "../../registry/references.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("a reference is taken apart", () => {
  test.each([
    ["localhost:5000/facecraft", "localhost:5000/facecraft", undefined, undefined],
    ["localhost:5000/facecraft:cpu", "localhost:5000/facecraft", "cpu", undefined],
    [`[::1]:5000/a/b:1.0_x@${digest}`, "[::1]:5000/a/b", "1.0_x", digest],
    [`python@${digest}`, "python", undefined, digest],
    ["python:3.11-slim", "python", "3.11-slim", undefined],
    ["Not An:Image@x@y", "Not An", "Image", "x@y"],
    ["", "", undefined, undefined],
  ])("%s", (reference, repository, tag, digest) => {
    expect(splitReference(reference)).toEqual({ repository, tag, digest });
  });

  test("and is called by its name without the digest", () => {
    expect(nameOf(`localhost:5000/facecraft:cpu@${digest}`)).toBe("localhost:5000/facecraft:cpu");
    expect(nameOf("python:3.11")).toBe("python:3.11");
  });
});

describe("an image is asked for by its digest, or else by its tag", () => {
  test.each([
    [`ghcr.io/team/facecraft:cpu@${digest}`, digest],
    [`ghcr.io/team/facecraft@${digest}`, digest],
    ["ghcr.io/team/facecraft:cpu", "cpu"],
  ])("%s", (reference, exact) => {
    expect(parseReference(reference)).toMatchObject({ repository: "ghcr.io/team/facecraft", exact });
  });

  test.each([
    "",
    "facecraft",
    "localhost:5000/facecraft",
    "facecraft:",
    "facecraft:-x",
    `facecraft:${"t".repeat(129)}`,
    "facecraft@sha256:abc",
    `facecraft@${digest}0`,
    "Facecraft:cpu",
    "team//facecraft:cpu",
    "https://ghcr.io/team/facecraft:cpu",
    " facecraft:cpu",
    "facecraft:cpu\n",
  ])("%j is refused with what would be right", (reference) => {
    expect(() => parseReference(reference)).toThrow(
      `"${reference}" names no image; it must be repository:tag, repository@sha256:<64 hex digits>, or both.`,
    );
  });
});

test.each([
  ["docker.io/djok/facecraft", "docker.io", "djok/facecraft"],
  ["index.docker.io/djok/facecraft", "docker.io", "djok/facecraft"],
  ["djok/facecraft", "docker.io", "djok/facecraft"],
  ["docker.io/python", "docker.io", "library/python"],
  ["python", "docker.io", "library/python"],
  ["localhost/facecraft", "localhost", "facecraft"],
  ["localhost:5000/facecraft", "localhost:5000", "facecraft"],
  ["registry/facecraft", "docker.io", "registry/facecraft"],
  ["registry:80/facecraft", "registry:80", "facecraft"],
  ["Registry/facecraft", "Registry", "facecraft"],
  ["[::1]:5000/facecraft", "[::1]:5000", "facecraft"],
  ["ghcr.io/team/sub/facecraft", "ghcr.io", "team/sub/facecraft"],
])("%s lies in the registry %s as %s", (repository, registry, path) => {
  expect(locate(repository)).toEqual({ registry, path });
  expect(fullName(repository)).toBe(`${registry}/${path}`);
});

test("this machine is known by its names and addresses, and no other is taken for it", () => {
  for (const host of ["localhost", "localhost:5000", "127.0.0.1", "127.0.1.1:80", "[::1]", "[::1]:5000"]) {
    expect(isLoopback(host), host).toBe(true);
  }
  for (const host of ["localhost.example.org", "localhost5", "127.0.0.1.nip.io", "10.127.0.0.1", "[::2]", ""]) {
    expect(isLoopback(host), host).toBe(false);
  }
});

describe("what a config may name", () => {
  test.each(["a", "a/b", "a.b_c__d-e--f/g", "localhost:5000/a", "[::1]:5000/a", "Host/a", "docker.io/djok/facecraft"])(
    "the repository %s",
    (name) => {
      expect(name).toMatch(repositoryPattern);
      expect(`${name}:1.0@${digest}`).toMatch(pinnedImagePattern);
      expect(name).toMatch(imagePattern);
      expect(name).not.toMatch(pinnedImagePattern);
    },
  );

  test.each(["", "a:tag", "a/", "/a", "a..b/c", "-a", "a_", "a___b", "a/B", "https://a/b", `a/${"b".repeat(255)}`])(
    "not the repository %j",
    (name) => {
      expect(name).not.toMatch(repositoryPattern);
    },
  );

  test("a digest of 64 lower-case hex digits", () => {
    expect(digest).toMatch(digestPattern);
    expect(digest.toUpperCase()).not.toMatch(digestPattern);
    expect(`${digest}\n`).not.toMatch(digestPattern);
  });
});
