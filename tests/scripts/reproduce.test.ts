import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applicationOf, checkOut } from "../../scripts/reproduce/places.ts";
import { argsAgain } from "../../scripts/reproduce/recipe.ts";
import { fromStackConfig, valuesOf } from "../../scripts/reproduce/stack.ts";
import { trustOf } from "../../scripts/trust.ts";
import { facts, hex } from "../attest/made.ts";

describe("the build args of an image that is built again", () => {
  const packages = { torch: "2.0.1+cpu", basicsr: "1.4.2" };

  test("are those of its own build, with exactly its Python packages", () => {
    const { args, remarks } = argsAgain({ VERSION: "1", CONSTRAINTS: "torch<3" }, { packages }, {});
    expect(args).toEqual({ VERSION: "1", CONSTRAINTS: "basicsr==1.4.2\ntorch==2.0.1+cpu" });
    expect(remarks).toEqual([]);
  });

  test("that were kept secret are those of the environment, or missed by name", () => {
    const own = { PIP_INDEX_URL: "(secret)" };
    expect(argsAgain(own, { packages }, { PIP_INDEX_URL: "https://x" }).args.PIP_INDEX_URL).toBe("https://x");
    expect(() => argsAgain(own, { packages }, {})).toThrow(
      "The build arg PIP_INDEX_URL of this image was kept secret; set PIP_INDEX_URL in the environment to build it again.",
    );
  });

  test("leave out the GPU, and say so", () => {
    const { args, remarks } = argsAgain({ GPU_PROOF: "required", GPU_IDENTITY: "A10" }, { packages }, {});
    expect(Object.keys(args)).toEqual(["CONSTRAINTS"]);
    expect(remarks[0]).toContain("proven on a GPU");
  });
});

describe("the application of an image that is built again", () => {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-places-"));
  const app = join(folder, "app");
  const dockerfile = { ignoreFile: "docker/Dockerfile.cpu.dockerignore", requirements: ["requirements.txt"] };
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.com", ...args], { cwd: folder }).toString();
  let first = "";

  beforeAll(() => {
    mkdirSync(join(app, "src/facecraft"), { recursive: true });
    writeFileSync(join(app, "requirements.txt"), "torch==2.0.1\n");
    writeFileSync(join(app, "src/facecraft/main.py"), "first = True\n");
    git("init", "-q");
    git("add", "--all");
    git("commit", "-qm", "First");
    first = git("rev-parse", "HEAD").trim();
    writeFileSync(join(app, "src/facecraft/main.py"), "first = False\n");
    git("commit", "-qam", "Second");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("is the folder where that is at the revision, and else what the commit has", async () => {
    const now = git("rev-parse", "HEAD").trim();
    const main = async (revision: string, name: string) =>
      readFileSync(
        join(await applicationOf(revision, app, dockerfile, join(folder, name)), "src/facecraft/main.py"),
        "utf8",
      );
    expect(await main(now, "now")).toBe("first = False\n");
    expect(await main(first, "then")).toBe("first = True\n");
    const url = `https://example.org/app.git#${first}`;
    expect(await applicationOf(first, url, dockerfile, join(folder, "url"))).toBe(url);
  });

  test("that nobody has is said to be so", async () => {
    const dirty = `${first}-dirty-0123456789ab`;
    await expect(applicationOf(dirty, app, dockerfile, join(folder, "dirty"))).rejects.toThrow(
      `The application of this image is ${dirty}, which is no commit`,
    );
    await expect(checkOut(app, "9".repeat(40), ".", join(folder, "none"))).rejects.toThrow(
      `is in no repository that has the commit ${"9".repeat(40)}`,
    );
  });
});

describe("an image without a provenance", () => {
  test("was made of what its stack's config and the image say", async () => {
    const text = `config:
  facecraft:variant: cpu
  facecraft:source: app
  facecraft:push: false
  facecraft:unusedModels: [codeformer]
  facecraft:registryAuth: {address: x, username: y, password: {secure: z}}
  other:key: 1
`;
    expect(valuesOf(text)).toEqual({ variant: "cpu", source: "app", push: "false", unusedModels: '["codeformer"]' });
    const file = join(mkdtempSync(join(tmpdir(), "facecraft-stack-")), "Pulumi.cpu.yaml");
    writeFileSync(file, text);
    const made = await fromStackConfig(file, facts);
    expect(made).toMatchObject({
      variant: "cpu",
      version: "1.2.3",
      revision: "c".repeat(40),
      source: "app",
      proof: facts.record,
    });
    expect(made.buildArgs).toMatchObject({
      PYTHON_IMAGE: `docker.io/library/python:3.11-slim@sha256:${hex("d")}`,
      SOURCE_DATE_EPOCH: "1700000000",
      UNUSED_MODELS: "/app/models/codeformer/codeformer.pth",
    });
    rmSync(dirname(file), { recursive: true });
  });
});

describe("whose signature counts", () => {
  test("is said by a key, or by identity and issuer, or not at all", () => {
    expect(trustOf({ KEY: "cosign.pub" })).toEqual({ key: "cosign.pub" });
    expect(trustOf({ IDENTITY: "me", ISSUER: "https://x" })).toEqual({ identity: "me", issuer: "https://x" });
    expect(trustOf({})).toBeUndefined();
  });

  test.each([{ IDENTITY: "me" }, { ISSUER: "https://x" }, { KEY: "k", IDENTITY: "me", ISSUER: "https://x" }])(
    "is not said by half, or twice: %j",
    (given) => {
      expect(() => trustOf(given)).toThrow("Give KEY=cosign.pub, or both IDENTITY=... and ISSUER=...");
    },
  );
});
