import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { listFiles } from "../../plan/snapshot.ts";
import { resolveSource, revisionOf } from "../../plan/source.ts";

const dockerfile = readDockerfile("docker/Dockerfile.cpu");
let folder: string;

beforeEach(() => {
  // What a test puts beside it is its own, too.
  folder = join(mkdtempSync(join(tmpdir(), "facecraft-source-")), "repository");
  mkdirSync(folder);
  write("requirements.txt", "torch==2.0.1\n");
  write("src/facecraft/main.py", "app = None\n");
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** Runs git on the folder, or on another. */
function git(...args: string[]): string {
  const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
  const env = { ...process.env, GIT_COMMITTER_DATE: "1700000000 +0000" };
  return execFileSync("git", [...identity, ...args], { cwd: folder, env, encoding: "utf8" }).trim();
}

function commitAll(message: string): string {
  git("add", "--all");
  git("commit", "-qm", message);
  return git("rev-parse", "HEAD");
}

const resolveFolder = () => resolveSource(folder, dockerfile);

/** The revision says that it is not the commit, and the files are named. */
async function expectDirty(...paths: string[]): Promise<void> {
  const { revision, uncommitted } = await resolveFolder();
  expect(uncommitted).toEqual(paths);
  expect(revision).toMatch(/^[0-9a-f]{40}-dirty-[0-9a-f]{12}$/);
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
    const { context } = await resolveFolder();
    expect(await listFiles(context, "")).toEqual(["requirements-gpu.txt", "requirements.txt", "src/facecraft/main.py"]);
  });

  test("gives the same context whatever the umask of the checkout was", async () => {
    const before = await resolveFolder();
    chmodSync(join(folder, "src/facecraft/main.py"), 0o600);
    chmodSync(join(folder, "src"), 0o775);
    const after = await resolveFolder();
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
    const before = await resolveFolder();
    change();
    expect((await resolveFolder()).context).not.toBe(before.context);
  });

  test("is refused where it is no Facecraft application", async () => {
    rmSync(join(folder, "src"), { recursive: true });
    await expect(resolveFolder()).rejects.toThrow(/has no src\/facecraft\/main\.py/);
  });

  test("is refused where it lacks requirements that the variant installs", async () => {
    const gpu = readDockerfile("docker/Dockerfile.gpu");
    await expect(resolveSource(folder, gpu)).rejects.toThrow(
      `facecraft:source is "${folder}", which has no requirements-gpu.txt; ` +
        "this image needs requirements.txt, requirements-gpu.txt, src/facecraft/main.py.",
    );
    write("requirements-gpu.txt", "torch==2.0.1+cu118\n");
    await expect(resolveSource(folder, gpu)).resolves.toMatchObject({ uncommitted: [] });
  });
});

test("a git URL is the build context itself, and its commit the revision", async () => {
  const url = `https://github.com/djok/facecraft.git#${"a".repeat(40)}:service`;
  expect(await resolveSource(url, dockerfile)).toMatchObject({ context: url, revision: "a".repeat(40) });
});

describe("the revision of a directory", () => {
  const unversioned = /^unversioned-[0-9a-f]{12}$/;
  let commit: string;

  beforeEach(() => {
    git("init", "-q");
    commit = commitAll("The application");
  });
  afterEach(() => vi.unstubAllEnvs());

  test("is the commit that last changed it, with that commit's date", async () => {
    expect(await resolveFolder()).toMatchObject({ revision: commit, committedAt: 1_700_000_000 });
  });

  test("stays when a commit changes only what is beside it", async () => {
    mkdirSync(join(folder, "service"));
    for (const name of ["requirements.txt", "src"]) {
      renameSync(join(folder, name), join(folder, "service", name));
    }
    const moved = commitAll("Move the application to a folder");
    write("README.md", "Facecraft\n");
    commitAll("Change the documentation");
    expect((await resolveSource(join(folder, "service"), dockerfile)).revision).toBe(moved);
    write("service/src/facecraft/main.py", "app = 1\n");
    expect((await resolveSource(join(folder, "service"), dockerfile)).revision).toMatch(`${moved}-dirty-`);
  });

  test.each([
    ["a changed file", () => write("src/facecraft/main.py", "app = 1\n")],
    ["a new file", () => write("src/facecraft/with space é.py", "")],
    ["a new folder", () => write("src/facecraft/more/__init__.py", "")],
    ["a staged deletion", () => git("rm", "-q", "src/facecraft/extra.py")],
    ["a deleted file", () => rmSync(join(folder, "src/facecraft/extra.py"))],
    ["a renamed file", () => git("mv", "src/facecraft/extra.py", "extra.py")],
  ])("is marked as dirty by %s", async (_what, change) => {
    write("src/facecraft/extra.py", "extra = None\n");
    commit = commitAll("Another file");
    expect((await resolveFolder()).revision).toBe(commit);
    change();
    expect((await resolveFolder()).revision).toMatch(new RegExp(`^${commit}-dirty-[0-9a-f]{12}$`));
  });

  test("is not marked as dirty by what is not in the image", async () => {
    write("README.md", "Facecraft\n");
    write("src/facecraft/__pycache__/main.pyc", "x");
    expect((await resolveFolder()).revision).toBe(commit);
  });

  test("is that of its own repository, whichever one the environment names", async () => {
    const other = mkdtempSync(join(tmpdir(), "facecraft-other-"));
    execFileSync("git", ["clone", "-q", folder, other]);
    const elsewhere = ["-C", other, "-c", "user.name=Test", "-c", "user.email=test@example.com"];
    execFileSync("git", [...elsewhere, "commit", "-q", "--allow-empty", "-m", "Another repository"]);
    try {
      // As git sets them for its hooks.
      vi.stubEnv("GIT_DIR", join(other, ".git"));
      vi.stubEnv("GIT_WORK_TREE", other);
      vi.stubEnv("GIT_INDEX_FILE", join(other, ".git/index"));
      vi.stubEnv("GIT_OBJECT_DIRECTORY", join(other, ".git/objects"));
      vi.stubEnv("GIT_COMMON_DIR", join(other, ".git"));
      vi.stubEnv("GIT_PREFIX", "elsewhere/");
      expect((await resolveFolder()).revision).toBe(commit);
      rmSync(join(folder, ".git"), { recursive: true });
      expect((await resolveFolder()).revision).toMatch(unversioned);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  test("does not depend on the user's language or on how git's output is set up", async () => {
    vi.stubEnv("LC_ALL", "de_DE.UTF-8");
    vi.stubEnv("LANGUAGE", "de");
    for (const [key, value] of Object.entries({
      "log.showSignature": "true",
      "status.short": "true",
      "color.ui": "always",
    })) {
      git("config", key, value);
    }
    expect((await resolveFolder()).revision).toBe(commit);
  });

  test("is a digest where there is no repository, or no commit in it", async () => {
    rmSync(join(folder, ".git"), { recursive: true });
    expect((await resolveFolder()).revision).toMatch(unversioned);
    git("init", "-q");
    expect((await resolveFolder()).revision).toMatch(unversioned);
  });

  test("is refused where git cannot tell", async () => {
    vi.stubEnv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    await expect(resolveFolder()).rejects.toThrow(
      /^git cannot tell the revision of facecraft:source ".*": fatal: detected dubious ownership/,
    );
    vi.stubEnv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "0");
    vi.stubEnv("PATH", "/nowhere");
    await expect(resolveFolder()).rejects.toThrow(/"[^"]*": git is not installed, or not on the PATH$/);
  });
});

describe("what is in an image and not in the commit", () => {
  beforeEach(() => {
    git("init", "-q");
    commitAll("The application");
  });

  test.each([
    [
      "a file that git ignores",
      () => [write(".gitignore", "*.bin\n"), commitAll("Ignore"), write("src/facecraft/w.bin", "1")],
    ],
    [
      "a file that git was told to ignore here",
      () => [write(".git/info/exclude", "w.bin\n"), write("src/facecraft/w.bin", "1")],
    ],
    ["a file that was never added", () => [write("src/facecraft/w.bin", "1")]],
    ["a link that was never added", () => [symlinkSync("main.py", join(folder, "src/facecraft/w.bin"))]],
  ])("is told of %s", async (_what, change) => {
    change();
    await expectDirty("src/facecraft/w.bin");
  });

  test.each(["--assume-unchanged", "--skip-worktree"])(
    "is told of an edit that git was told not to see: %s",
    async (flag) => {
      git("update-index", flag, "src/facecraft/main.py");
      write("src/facecraft/main.py", "app = 666\n");
      await expectDirty("src/facecraft/main.py");
    },
  );

  test("is told of an executable bit, of a file that is gone, and of one that was staged only", async () => {
    chmodSync(join(folder, "src/facecraft/main.py"), 0o755);
    await expectDirty("src/facecraft/main.py");
    chmodSync(join(folder, "src/facecraft/main.py"), 0o644);
    write("src/facecraft/more.py", "1");
    git("add", "--all");
    await expectDirty("src/facecraft/more.py");
    commitAll("Add more");
    rmSync(join(folder, "src/facecraft/more.py"));
    await expectDirty("src/facecraft/more.py");
  });

  test("is nothing where only what stays outside differs", async () => {
    write("README.md", "1");
    write("src/facecraft/__pycache__/x.pyc", "1");
    expect((await resolveFolder()).uncommitted).toEqual([]);
  });
});

describe("git cannot be made to take other bytes for the commit's", () => {
  let commit: string;

  beforeEach(() => {
    git("init", "-q");
    commit = commitAll("The application");
  });
  afterEach(() => vi.unstubAllEnvs());

  test.each<[string, () => void]>([
    ["", () => {}],
    [", although git was told to believe it", () => git("config", "core.useReplaceRefs", "true")],
  ])("by a commit that stands in for it%s", async (_what, setUp) => {
    write("src/facecraft/main.py", "app = 666\n");
    const other = commitAll("Another application");
    git("reset", "-q", "--soft", commit);
    git("replace", commit, other);
    setUp();
    await expectDirty("src/facecraft/main.py");
    expect((await resolveFolder()).revision).toMatch(commit);
  });

  /** Git's filters make other bytes on disk equal to those of the commit, and `git status` finds nothing. */
  test.each<[string, string, string | Buffer, () => void]>([
    ["the ends of lines", "* text eol=crlf", "app = None\r\n", () => {}],
    ["the ends of lines", "", "app = None\r\n", () => git("config", "core.autocrlf", "true")],
    ["an encoding", "*.py working-tree-encoding=UTF-16LE", Buffer.from("app = None\n", "utf16le"), () => {}],
    ["a program", "*.py filter=x", "app = 666\n", () => git("config", "filter.x.clean", "echo 'app = None'")],
  ])("by a filter for %s: %s", async (_what, attributes, bytes, setUp) => {
    writeFileSync(join(folder, "src/facecraft/main.py"), bytes);
    git("config", "core.safecrlf", "false"); // or it warns
    setUp();
    write(".gitattributes", `${attributes}\n`);
    git("add", ".gitattributes");
    git("commit", "-qm", "Set attributes");
    git("add", "--renormalize", ".");
    expect(git("status", "--porcelain", "src")).toBe("");
    await expectDirty("src/facecraft/main.py");
  });

  test("by an id that is written into a file", async () => {
    write("src/facecraft/id.py", "# $Id$\n");
    write(".gitattributes", "*.py ident\n");
    commitAll("Write ids");
    rmSync(join(folder, "src/facecraft/id.py"));
    git("checkout", "-q", "src");
    await expectDirty("src/facecraft/id.py");
  });

  test.each<[string, Record<string, string>]>([
    ["a count", { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "core.autocrlf", GIT_CONFIG_VALUE_0: "true" }],
    ["parameters", { GIT_CONFIG_PARAMETERS: "'core.autocrlf'='true'" }],
  ])("by settings in the environment: %s", async (_what, environment) => {
    write("src/facecraft/main.py", "app = None\r\n");
    for (const [name, value] of Object.entries(environment)) {
      vi.stubEnv(name, value);
    }
    await expectDirty("src/facecraft/main.py");
  });

  test("by a working tree elsewhere, which has not been changed", async () => {
    const other = mkdtempSync(join(tmpdir(), "facecraft-other-"));
    try {
      execFileSync("git", ["clone", "-q", folder, other]);
      git("config", "core.worktree", other);
      write("src/facecraft/main.py", "app = 666\n");
      const { revision } = await resolveFolder().catch(({ message }) => ({ revision: message }));
      expect(revision).toMatch(/-dirty-|^git cannot tell/);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  test("by a commit in another repository, which its own only names", async () => {
    const other = mkdtempSync(join(tmpdir(), "facecraft-other-"));
    try {
      execFileSync("git", ["clone", "-q", folder, other]);
      git("-c", "protocol.file.allow=always", "submodule", "add", "-q", other, "src/vendored");
      commitAll("Vendor");
      const files = ["requirements.txt", "src/facecraft/main.py"].map((path) => `src/vendored/${path}`);
      await expectDirty("src/vendored", ...files);
      git("submodule", "deinit", "-q", "-f", "src/vendored");
      await expectDirty("src/vendored");
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  test("by a repository within it, which has committed the file", async () => {
    write("src/nested/more.py", "1\n");
    const nested = ["-C", "src/nested", "-c", "user.name=Test", "-c", "user.email=test@example.com"];
    git("init", "-q", "src/nested");
    git(...nested, "add", "--all");
    git(...nested, "commit", "-qm", "Nested");
    const { context } = await resolveFolder();
    expect(existsSync(join(context, "src/nested/.git"))).toBe(false);
    await expectDirty("src/nested/more.py");
  });
});

test("a repository whose ids are of sha256 is compared by those", async () => {
  git("init", "-q", "--object-format=sha256");
  symlinkSync("main.py", join(folder, "src/facecraft/also.py"));
  const commit = commitAll("The application");
  expect(commit).toHaveLength(64);
  expect(await resolveFolder()).toMatchObject({ revision: commit, uncommitted: [] });
  write("src/facecraft/main.py", "app = 1\n");
  expect((await resolveFolder()).uncommitted).toEqual(["src/facecraft/main.py"]);
});

describe("a link in the application", () => {
  beforeEach(() => {
    git("init", "-q");
    commitAll("The application");
  });

  test.each(["../../../outside.py", "/etc/hostname", "../.."])(
    "that leads out of it is refused: %s",
    async (target) => {
      symlinkSync(target, join(folder, "src/facecraft/l.py"));
      writeFileSync(join(folder, "..", "outside.py"), "1");
      await expect(resolveFolder()).rejects.toThrow(
        /^src\/facecraft\/l\.py in .* is a link to ".*", which is not .*\. Put the file itself there/,
      );
    },
  );

  test.each(["shared/middle.py", "shared/folder/main.py"])(
    "is refused when a link that stays out decides where it leads: %s",
    async (way) => {
      write("shared/note.txt", "1\n");
      symlinkSync("../src/facecraft/main.py", join(folder, "shared/middle.py"));
      symlinkSync("../src/facecraft", join(folder, "shared/folder"));
      symlinkSync(`../../${way}`, join(folder, "src/facecraft/l.py"));
      await expect(resolveFolder()).rejects.toThrow(
        /^src\/facecraft\/l\.py in .*, which leads on by shared\/(middle\.py|folder), a link that does not go into the image/,
      );
    },
  );

  test("that leads on by links that go along is one of them", async () => {
    symlinkSync("main.py", join(folder, "src/facecraft/a.py"));
    symlinkSync("facecraft", join(folder, "src/folder"));
    symlinkSync("../folder/a.py", join(folder, "src/facecraft/b.py"));
    const { context } = await resolveFolder();
    expect(readFileSync(join(context, "src/facecraft/b.py"), "utf8")).toBe("app = None\n");
  });

  test("to a file that goes along stays a link, to another file of the folder it is followed, and both are the commit's", async () => {
    write("shared/base.txt", "torch==2.0.1\n");
    rmSync(join(folder, "requirements.txt"));
    symlinkSync("shared/base.txt", join(folder, "requirements.txt"));
    symlinkSync("main.py", join(folder, "src/facecraft/also.py"));
    const commit = commitAll("Link");
    const { context, revision } = await resolveFolder();
    expect(revision).toBe(commit);
    expect(readlinkSync(join(context, "src/facecraft/also.py"))).toBe("main.py");
    expect(lstatSync(join(context, "requirements.txt")).isFile()).toBe(true);
    write("shared/base.txt", "torch==2.0.2\n");
    expect((await resolveFolder()).uncommitted).toEqual(["shared/base.txt"]);
  });
});

describe("a snapshot", () => {
  test("that was edited is not believed by its name", async () => {
    const { context } = await resolveFolder();
    writeFileSync(join(context, "src/facecraft/main.py"), "app = 666\n");
    writeFileSync(join(context, "src/facecraft/more.py"), "1");
    expect((await resolveFolder()).context).toBe(context);
    expect(readFileSync(join(context, "src/facecraft/main.py"), "utf8")).not.toContain("666");
    expect(existsSync(join(context, "src/facecraft/more.py"))).toBe(false);
  });

  test("of long ago is removed when there are newer ones", async () => {
    const made: string[] = [];
    for (let i = 0; i < 7; i++) {
      write("src/facecraft/main.py", `app = ${i}\n`);
      const { context } = await resolveFolder();
      utimesSync(context, new Date(i * 1000), new Date(i * 1000));
      made.push(context);
    }
    write("src/facecraft/main.py", "app = 8\n");
    const { context } = await resolveFolder();
    expect(existsSync(context)).toBe(true);
    expect(made.filter((path) => existsSync(path)).length).toBeLessThan(7);
    expect(existsSync(made[0] as string)).toBe(false);
  });
});

test("a name that is not UTF-8 is told in a sentence", async () => {
  writeFileSync(Buffer.concat([Buffer.from(join(folder, "src/facecraft/x")), Buffer.from([0xff])]), "1");
  await expect(resolveFolder()).rejects.toThrow(/^The name of a file in .* is not UTF-8/);
});

describe("the revision", () => {
  const commit = "c".repeat(40);
  const digest = "0123456789abcdef";
  test("is the commit's, marked as dirty when anything of the image is not the commit's", () => {
    expect(revisionOf(commit, [], digest)).toBe(commit);
    expect(revisionOf(commit, ["src/facecraft/main.py"], digest)).toBe(`${commit}-dirty-0123456789ab`);
    expect(revisionOf(undefined, [], digest)).toBe("unversioned-0123456789ab");
  });
});
