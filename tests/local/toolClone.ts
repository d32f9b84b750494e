import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "../../local/paths.ts";
import { type LockedTool, type ToolLock, thisPlatform } from "../../local/toolLock.ts";

/** What the set-up may use of the machine: no Node.js, no npm and no Go, unless they are added. */
const programs =
  "sh env cat cp mv rm mkdir mktemp chmod ln ls tr sed awk grep cut wc head id uname dirname basename cmp tar gzip curl sha256sum sleep ps";

/** A copy of this project, with a tools folder, a cache and a PATH of its own. */
export class ToolClone {
  readonly folder = mkdtempSync(join(tmpdir(), "facecraft-tools-"));
  readonly root = join(this.folder, "clone");
  readonly tools = join(this.folder, "tools");
  readonly bin = join(this.folder, "bin");
  readonly env: NodeJS.ProcessEnv = {
    PATH: this.bin,
    HOME: join(this.folder, "home"),
    FACECRAFT_TOOLS: this.tools,
    FACECRAFT_CACHE: join(this.folder, "cache"),
    FACECRAFT_SHARED_CACHE: join(this.folder, "none"),
    GOROOT: join(this.folder, "go"),
  };

  constructor() {
    const left = new Set(["node_modules", ".git", ".tools", ".facecraft", "tests", "bench", "docs"]);
    for (const part of readdirSync(root).filter((name) => !left.has(name))) {
      cpSync(join(root, part), join(this.root, part), { recursive: true });
    }
    mkdirSync(join(this.root, "node_modules"));
    for (const name of readdirSync(join(root, "node_modules")).filter((name) => !name.startsWith("."))) {
      symlinkSync(join(root, "node_modules", name), join(this.root, "node_modules", name));
    }
    // Installed already, as local/run remembers it.
    cpSync(join(root, "package-lock.json"), join(this.root, "node_modules/.facecraft-lock.json"));
    for (const folder of [this.bin, this.tools, join(this.folder, "home")]) {
      mkdirSync(folder);
    }
    for (const name of programs.split(" ")) {
      this.use(name, execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim());
    }
  }

  /** Puts a program on the PATH. */
  use(name: string, path: string): void {
    symlinkSync(path, join(this.bin, name));
  }

  /** Puts a script into a folder, by default the one on the PATH. */
  script(name: string, text: string, folder = this.bin): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  lock(): ToolLock {
    return JSON.parse(readFileSync(join(this.root, "local/tools/lock.json"), "utf8")) as ToolLock;
  }

  /** Changes what the lock says of a tool, and what it says of its file for this machine. */
  pin(tool: string, sha256: string | null, change: Partial<LockedTool> = {}): void {
    const lock = this.lock();
    const entry = lock[tool] as LockedTool;
    const file = entry.files[thisPlatform] ?? { url: "", sha256: null };
    const files = { ...entry.files, [thisPlatform]: { ...file, sha256 } };
    const text = JSON.stringify({ ...lock, [tool]: { ...entry, ...change, files } }, undefined, 2);
    writeFileSync(join(this.root, "local/tools/lock.json"), text);
  }

  /** Where a tool's file for this machine is. */
  url(tool: string): string {
    return this.lock()[tool]?.files[thisPlatform]?.url ?? "";
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** An archive with executable files, by path; random bytes make it too large for one packet. */
export function archive(files: Record<string, string>): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-archive-"));
  try {
    const [first = ""] = Object.keys(files);
    const noise = crypto.getRandomValues(Buffer.alloc(60_000));
    for (const [path, text] of Object.entries<string | Buffer>({ ...files, [join(dirname(first), "noise")]: noise })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text, { mode: 0o755 });
    }
    return execFileSync("tar", ["-cz", "-C", folder, ...readdirSync(folder)]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
