import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readDockerfile } from "../components/dockerfile.ts";
import { listFiles, resolveSource, revisionOf } from "../components/source.ts";
import { variantNames, variants } from "../components/variants.ts";

const ignoreFile = "docker/Dockerfile.cpu.dockerignore";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-source-"));
  write("requirements.txt", "torch==2.0.1\n");
  write("src/facecraft/main.py", "app = None\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** Git's part is played by the answer of the function local.run. */
async function resolveAs(stdout: string, stderr = "") {
  await pulumi.runtime.setMocks({ newResource: () => ({ id: "", state: {} }), call: () => ({ stdout, stderr }) });
  return resolveSource(folder, ignoreFile);
}

describe("a directory as the source", () => {
  test("gives a build context without secrets, caches, models and history", async () => {
    for (const path of [".env", "src/.env.local", ".git/config", ".planning/x", "src/facecraft/__pycache__/main.pyc"]) {
      write(path, "x");
    }
    for (const path of [
      "models/codeformer.pth",
      "src/facecraft/u2net.onnx",
      "src/shape.dat",
      "README.md",
      "requirements-gpu.txt",
    ]) {
      write(path, "x");
    }
    const { context } = await resolveAs("", "fatal: not a git repository");
    expect(await listFiles(context, "")).toEqual(["requirements-gpu.txt", "requirements.txt", "src/facecraft/main.py"]);
  });

  test("gives the same context whatever the umask of the checkout was", async () => {
    const before = await resolveAs("");
    chmodSync(join(folder, "src/facecraft/main.py"), 0o600);
    chmodSync(join(folder, "src"), 0o775);
    const after = await resolveAs("");
    expect(after).toEqual(before);
    expect(statSync(join(after.context, "src/facecraft/main.py")).mode & 0o777).toBe(0o644);
    expect(statSync(join(after.context, "src")).mode & 0o777).toBe(0o755);
  });

  test.each([
    ["content", () => write("src/facecraft/main.py", "app = 1\n")],
    ["another file", () => write("src/facecraft/more.py", "")],
    ["an executable bit", () => chmodSync(join(folder, "src/facecraft/main.py"), 0o755)],
    ["a link", () => symlinkSync("main.py", join(folder, "src/facecraft/link.py"))],
  ])("gives another context for %s", async (_what, change) => {
    const before = await resolveAs("");
    change();
    expect((await resolveAs("")).context).not.toBe(before.context);
  });

  test("is refused where git cannot tell, unless there is no repository", async () => {
    const dubious = "fatal: detected dubious ownership in repository";
    await expect(resolveAs("", dubious)).rejects.toThrow(/git cannot tell the revision of facecraft:source .*dubious/s);
    expect((await resolveAs("", "fatal: not a git repository")).revision).toMatch(/^unversioned-[0-9a-f]{12}$/);
  });

  test("is refused where it is no Facecraft application", async () => {
    rmSync(join(folder, "src"), { recursive: true });
    await expect(resolveAs("")).rejects.toThrow(/has no src\/facecraft\/main\.py/);
  });
});

test("a git URL is the build context itself, and its commit the revision", async () => {
  const url = `https://github.com/djok/facecraft.git#${"a".repeat(40)}:service`;
  expect(await resolveSource(url, ignoreFile)).toMatchObject({ context: url, revision: "a".repeat(40) });
});

describe("the revision", () => {
  const files = ["requirements.txt", "src/facecraft/main.py"];
  const commit = "c".repeat(40);
  test.each([
    ["the commit, when nothing differs from it", [], commit],
    ["the commit, when only what is not in the image differs", ["README.md", "src/__pycache__/x.pyc"], commit],
    ["marked as dirty, when a file of the image differs", ["src/facecraft/main.py"], `${commit}-dirty-0123456789ab`],
    ["marked as dirty, when a file of the image is gone", ["src/facecraft/gone.py"], `${commit}-dirty-0123456789ab`],
  ])("is %s", (_what, changed, revision) => {
    expect(revisionOf({ commit, changed }, files, "0123456789abcdef")).toBe(revision);
  });
});

describe.each(variantNames)("the Dockerfile of %s", (name) => {
  const variant = variants[name];
  const { args, healthcheck } = readDockerfile(variant.dockerfile);

  test("builds by itself with the torch index of its variant", () => {
    expect(args.get("TORCH_INDEX_URL")).toBe(variant.torch.index);
    expect(args.get("TORCH_FLAVOUR")).toBe(variant.torch.flavour);
  });

  test("has an ARG for each of the variant's bases", () => {
    for (const arg of Object.values(variant.bases)) {
      expect(args.get(arg), arg).toBeTruthy();
    }
  });

  test("asks /ready, with the settings of the contract", () => {
    expect(healthcheck).toEqual({
      path: "/ready",
      port: 8000,
      interval: "30s",
      timeout: "10s",
      startPeriod: "180s",
      retries: 3,
    });
  });
});
