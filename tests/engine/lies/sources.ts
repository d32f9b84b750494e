import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { root } from "../../../local/paths.ts";

/** An application and its repository, as a case makes them up. */
export interface Source {
  home: Home;
  history: "one commit" | "a later commit beside it" | "a merge";
  /** What was done to it, in this order: first what was committed, then what was not. */
  edits: Edit[];
  /** Variables of the environment name another repository, as in a hook of git. */
  inHook: boolean;
  /** The copy for the build is there, and somebody has edited it. */
  isSnapshotEdited: boolean;
}

export interface Edit {
  kind: EditKind;
  name: string;
  isCommitted: boolean;
}

/** Where the application is. */
export interface Place {
  folder: string;
  /** Top of its repository; undefined where it has none. */
  repository?: string;
  /** Of the application in its repository: `""`, or `<folder>/`. */
  prefix: string;
  /** What the update gets to see beside its own environment. */
  environment: Record<string, string>;
}

const homes = {
  "a repository of its own": { prefix: "" },
  "a folder of a repository": { prefix: "service/" },
  "a folder with an odd name": { prefix: "[my] äpp's #1/" },
  "another worktree": { prefix: "" },
  "a shallow clone": { prefix: "service/" },
  "a checkout with CRLF": { prefix: "" },
  "a repository of SHA-256": { prefix: "" },
  "no repository": { prefix: "" },
  "a repository without a commit": { prefix: "" },
} as const;
type Home = keyof typeof homes;

/** An edit happens in a folder of its own, `at`, below src/facecraft. */
interface Hands {
  application: string;
  at: string;
  file: string;
  write(path: string, text: string): void;
  link(target: string, path: string): void;
  git(...args: string[]): void;
}

interface Deed {
  /** What the first commit has for it. */
  before?(hands: Hands): void;
  change(hands: Hands): void;
  /** Whether the application may not be built after it. */
  refused?: true;
}

const write = ({ write, file }: Hands) => write(file, "a = 1\n");
const beside = "../../../docs";

const deeds = {
  "a file that nobody touched": { before: write, change() {} },
  "an edited file": { before: write, change: ({ write, file }) => write(file, "a = 22\n") },
  "a file edited within its size and time": {
    before: write,
    change({ write, file }) {
      const { atime, mtime } = statSync(file, { throwIfNoEntry: false }) ?? { atime: 0, mtime: 0 };
      write(file, "a = 2\n");
      utimesSync(file, atime, mtime);
    },
  },
  "a new file": { change: write },
  "an empty file": { change: ({ write, file }) => write(file, "") },
  "a file that git ignores": {
    change({ application, at, write, file }) {
      write(join(application, ".gitignore"), `${at.slice(at.lastIndexOf("/") + 1)}/\n`);
      write(file, "a = 1\n");
    },
  },
  "a deleted file": { before: write, change: ({ file }) => rmSync(file) },
  "an executable bit": { before: write, change: ({ file }) => chmodSync(file, 0o755) },
  "an executable bit less": {
    before(hands) {
      write(hands);
      chmodSync(hands.file, 0o755);
    },
    change: ({ file }) => chmodSync(file, 0o644),
  },
  "odd modes": { before: write, change: ({ file }) => chmodSync(file, 0o604) },
  "a link to a file": { change: ({ link, file }) => link("../main.py", file) },
  "a link to a folder": { change: ({ link, file }) => link("..", file) },
  "a link to a file that stays out": {
    change({ application, link, write, file }) {
      write(join(application, "docs/note.txt"), "a note\n");
      link(`${beside}/note.txt`, file);
    },
  },
  "an edited file that a link leads to": {
    before({ at, application, link, write, file }) {
      const note = `${at.slice(at.lastIndexOf("/") + 1)}.txt`;
      write(join(application, "docs", note), "a note\n");
      link(`${beside}/${note}`, file);
    },
    change({ at, application, write }) {
      write(join(application, "docs", `${at.slice(at.lastIndexOf("/") + 1)}.txt`), "another note\n");
    },
  },
  "a link by way of a link that stays out": {
    change({ application, link, file }) {
      const middle = join(application, "docs/middle");
      rmSync(middle, { force: true });
      link("../src/facecraft/main.py", middle);
      link(`${beside}/middle`, file);
    },
    refused: true,
  },
  "a file that became a link": {
    before: write,
    change({ link, file }) {
      rmSync(file);
      link("../main.py", file);
    },
  },
  "a file that became a folder": {
    before: write,
    change({ write, file }) {
      rmSync(file);
      write(join(file, "inner.py"), "a = 1\n");
    },
  },
  "an edit that git was told to overlook": {
    before: write,
    change({ write, file, git }) {
      git("update-index", "--assume-unchanged", "--", file);
      write(file, "a = 22\n");
    },
  },
  "an edit of what git was told to skip": {
    before: write,
    change({ write, file, git }) {
      git("update-index", "--skip-worktree", "--", file);
      write(file, "a = 22\n");
    },
  },
  "an edit that is only staged": {
    before: write,
    change({ write, file, git }) {
      write(file, "a = 22\n");
      git("add", "--", file);
      write(file, "a = 1\n");
    },
  },
  "line ends that git overlooks": {
    before(hands) {
      hands.write(join(hands.at, ".gitattributes"), "* text eol=crlf\n");
      write(hands);
    },
    change: ({ write, file }) => write(file, "a = 1\r\n"),
  },
  "a keyword that git expands": {
    before({ at, write, file }) {
      write(join(at, ".gitattributes"), "* ident\n");
      write(file, "# $Id$\n");
    },
    change: ({ write, file }) => write(file, "# $Id: 0123456789 $\n"),
  },
  "an edit that a filter takes out": {
    before(hands) {
      hands.git("config", "filter.tidy.clean", "sed s/22/1/");
      hands.write(join(hands.at, ".gitattributes"), "* filter=tidy\n");
      write(hands);
    },
    change: ({ write, file }) => write(file, "a = 22\n"),
  },
  "a commit that another stands in for": {
    before: write,
    change({ write, file, git }) {
      write(file, "a = 22\n");
      git("add", "--", file);
      git("commit", "--quiet", "--amend", "--message", "What nobody else has");
      git("replace", "HEAD@{1}", "HEAD");
      git("reset", "--quiet", "--soft", "HEAD@{1}");
    },
  },
  "an empty folder": { change: ({ at }) => mkdirSync(join(at, "empty"), { recursive: true }) },
  "a cache": { change: ({ at, write }) => write(join(at, "__pycache__/x.pyc"), "x") },
  "an absolute link": { change: ({ link, file }) => link("/etc/hostname", file), refused: true },
  "a link out of it": { change: ({ link, file }) => link("../../../../outside.txt", file), refused: true },
  "a link to nothing": { change: ({ link, file }) => link("nowhere.py", file), refused: true },
  "a link to itself": { change: ({ link, file }) => link(file.slice(file.lastIndexOf("/") + 1), file), refused: true },
  "a name that is not UTF-8": {
    change({ at }) {
      mkdirSync(at, { recursive: true });
      writeFileSync(Buffer.concat([Buffer.from(`${at}/`), Buffer.from([0x62, 0xff, 0x2e, 0x70, 0x79])]), "x");
    },
    refused: true,
  },
} satisfies Record<string, Deed>;
type EditKind = keyof typeof deeds;

/** Kinds that need git's index, or change a history. */
const needCommit: readonly string[] = [
  "an edit that git was told to overlook",
  "an edit of what git was told to skip",
  "an edit that is only staged",
  "an edit that a filter takes out",
  "a commit that another stands in for",
] satisfies EditKind[];

const kinds = Object.keys(deeds) as EditKind[];
const isRefused = (kind: EditKind) => "refused" in deeds[kind];

/** Whether the program must refuse to build it. */
export function mustBeRefused({ edits }: Source): boolean {
  return edits.some(({ kind }) => isRefused(kind));
}

const name = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...["plain.py", "with space.py", "a\nnew line.py", 'it\'s "quoted".py', "back\\slash.py", "tab\there.py", "-rf"],
      ...["#hash", "!bang", "[a-c]*.py", "comma, and more.py", "ünïcödé.py", "u\u0308.py", "👩‍🚀.txt", "$HOME.py", "~"],
      ...["%2e%2e", ".hidden", "trailing .", "a:b@c.py", "\u202egnp.py", ": ", "crlf\r\n"],
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
      .filter((text) => !/[/\0]/.test(text) && !/^\.|\.(dat|pth|onnx|bz2|py[cod])$/i.test(text) && text.trim() !== "")
      .filter((text) => Buffer.byteLength(text) < 200),
  },
);

const edit = (kinds: readonly EditKind[]) =>
  fc.record({ kind: fc.constantFrom(...kinds), name, isCommitted: fc.boolean() });
const isHarmless = (kind: EditKind) => !isRefused(kind);

const own: Home = "a repository of its own";

/** A source that can be built, whatever was done to it. */
export const source: fc.Arbitrary<Source> = fc
  .record({
    home: fc.oneof(
      { weight: 1, arbitrary: fc.constant(own) },
      { weight: 2, arbitrary: fc.constantFrom(...(Object.keys(homes) as Home[])) },
    ),
    history: fc.constantFrom("one commit", "a later commit beside it", "a merge"),
    edits: fc.array(edit(kinds.filter(isHarmless)), { minLength: 1, maxLength: 5, size: "max" }),
    inHook: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
    isSnapshotEdited: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
  })
  .map(
    (made) =>
      ({
        ...made,
        edits: made.edits.filter(({ kind }) => hasCommit(made.home) || !needCommit.includes(kind)),
      }) as Source,
  );

/** A source that holds what no commit can vouch for, or no image can hold. */
export const wrongSource: fc.Arbitrary<Source> = fc
  .tuple(source, edit(kinds.filter(isRefused)))
  .map(([made, wrong]) => ({ ...made, edits: [...made.edits.slice(0, 2), wrong], isSnapshotEdited: false }));

/** A source that is in one commit as a whole, and another one for every mark. */
export function plainSource(mark: string): Source {
  const edits: Edit[] = [{ kind: "a new file", name: `${mark}.py`, isCommitted: true }];
  return { home: own, history: "one commit", edits, inHook: false, isSnapshotEdited: false };
}

function hasCommit(home: Home): boolean {
  return home !== "no repository" && home !== "a repository without a commit";
}

/** Makes the application and its repository in a new folder. */
export function make(source: Source, top: string): Place {
  const { home, history, edits } = source;
  const { prefix } = homes[home];
  const origin = join(top, "origin");
  mkdirSync(join(origin, prefix), { recursive: true });
  writeFileSync(join(top, "outside.txt"), "outside\n");
  const git = gitIn(origin);
  git("init", "--quiet", ...(home === "a repository of SHA-256" ? ["--object-format=sha256"] : []));
  cpSync(join(root, "app"), join(origin, prefix), { recursive: true });

  const [first, later] = [true, false].map((wanted) => edits.filter(({ isCommitted }) => isCommitted === wanted));
  const hands = (folder: string, one: Edit) => handsFor(join(folder, prefix), edits.indexOf(one), one, gitIn(folder));
  for (const one of edits) {
    const deed: Deed = deeds[one.kind];
    deed.before?.(hands(origin, one));
  }
  commit(git, "The application");
  if (history === "a merge") {
    git("checkout", "--quiet", "-b", "side");
    writeFileSync(join(origin, prefix, "src/facecraft/side.py"), "side = 1\n");
    commit(git, "On the side");
    git("checkout", "--quiet", "main");
    writeFileSync(join(origin, prefix, "src/facecraft/more.py"), "more = 1\n");
    commit(git, "Meanwhile");
    git("merge", "--quiet", "--no-edit", "side");
  }
  for (const one of first ?? []) {
    deeds[one.kind].change(hands(origin, one));
  }
  commit(git, "What was committed");
  if (history === "a later commit beside it") {
    writeFileSync(join(origin, "CHANGES.md"), "Facecraft\n");
    commit(git, "Beside it");
  }

  const repository = checkOut(home, origin, join(top, "checkout"));
  for (const one of later ?? []) {
    deeds[one.kind].change(hands(repository, one));
  }
  return {
    folder: join(repository, prefix).replace(/\/$/, ""),
    ...(hasCommit(home) && { repository }),
    prefix,
    environment: source.inHook ? hook(top) : {},
  };
}

function checkOut(home: Home, origin: string, folder: string): string {
  const git = gitIn(origin);
  switch (home) {
    case "another worktree":
      git("worktree", "add", "--quiet", "--detach", folder);
      return folder;
    case "a shallow clone":
      git("clone", "--quiet", "--depth", "1", `file://${origin}`, folder);
      return folder;
    case "a checkout with CRLF":
      git("clone", "--quiet", "--config", "core.autocrlf=true", origin, folder);
      // Other bytes of these would install everything again, which takes a minute.
      for (const name of ["requirements.txt", "requirements-gpu.txt"]) {
        cpSync(join(origin, name), join(folder, name));
      }
      return folder;
    case "no repository":
      rmSync(join(origin, ".git"), { recursive: true });
      return origin;
    case "a repository without a commit":
      rmSync(join(origin, ".git"), { recursive: true });
      git("init", "--quiet");
      return origin;
    default:
      return origin;
  }
}

/** As a hook of another repository's git has them. */
function hook(top: string): Record<string, string> {
  const other = join(top, "other");
  mkdirSync(other);
  const git = gitIn(other);
  git("init", "--quiet");
  writeFileSync(join(other, "other.txt"), "other\n");
  commit(git, "Another repository");
  return {
    GIT_DIR: join(other, ".git"),
    GIT_WORK_TREE: other,
    GIT_INDEX_FILE: join(other, ".git/index"),
    GIT_PREFIX: "elsewhere/",
  };
}

function handsFor(application: string, number: number, { name }: Edit, git: Hands["git"]): Hands {
  const at = join(application, `src/facecraft/edit${number}`);
  const placed = (path: string) => mkdirSync(dirname(path), { recursive: true });
  return {
    application,
    at,
    file: `${at}/${name}`,
    write(path, text) {
      placed(path);
      writeFileSync(path, text);
    },
    link(target, path) {
      placed(path);
      rmSync(path, { force: true });
      symlinkSync(target, path);
    },
    git,
  };
}

function gitIn(cwd: string): (...args: string[]) => void {
  const variables = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"));
  const settings = {
    "user.name": "Test",
    "user.email": "test@example.com",
    "init.defaultBranch": "main",
  };
  const options = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  const env = {
    ...Object.fromEntries(variables),
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_AUTHOR_DATE: "1700000000 +0000",
    GIT_COMMITTER_DATE: "1700000000 +0000",
  };
  return (...args) =>
    void execFileSync("git", [...options, ...args], { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
}

function commit(git: Hands["git"], message: string): void {
  git("add", "--all");
  git("commit", "--quiet", "--allow-empty", "--message", message);
}
