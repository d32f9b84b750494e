import type { Tree } from "../look.ts";

// What of a folder is the application, and what one reads in it, told once more: the program's own words for it are not used.

/** What never enters an image, by design: caches, models, secrets and history. */
const leftOut =
  /(^|\/)(__pycache__|\.git|\.planning|\.DS_Store|\.env[^/]*|\.[^/]*_cache|[^/]*\.(py[cod]|dat|pth|onnx|bz2))(\/|$)/;

/** The paths that go into a build. */
export function applicationOf(tree: Tree): string[] {
  const goesIn = (path: string) => /^(src\/|requirements[^/]*\.txt$)/.test(path) && !leftOut.test(path);
  return [...tree.keys()].filter(goesIn);
}

export function below(folder: string, paths: readonly string[]): string[] {
  return paths.filter((path) => path.startsWith(folder));
}

/** What one reads at a path, through links: a file's content, or `folder <path>`; undefined where nothing is. */
export function read(tree: Tree, path: string): string | undefined {
  const real = realPath(tree, path.split("/"));
  if (real === undefined) {
    return undefined;
  }
  const isFolder = real === "" || [...tree.keys()].some((other) => other.startsWith(`${real}/`));
  return tree.get(real) ?? (isFolder ? `folder ${real}` : undefined);
}

/** Where a path leads; undefined where it leads out. */
export function realPath(tree: Tree, path: readonly string[], links = 0): string | undefined {
  const passed: string[] = [];
  for (const [at, part] of path.entries()) {
    if (part === "..") {
      if (passed.pop() === undefined) {
        return undefined;
      }
    } else if (part !== "" && part !== ".") {
      const entry = tree.get([...passed, part].join("/"));
      if (entry?.startsWith("link ")) {
        const target = entry.slice("link ".length);
        const whole = [...passed, ...target.split("/"), ...path.slice(at + 1)];
        return target.startsWith("/") || links > 20 ? undefined : realPath(tree, whole, links + 1);
      }
      passed.push(part);
    }
  }
  return passed.join("/");
}

/** The files that go in and are not the commit's, or are the commit's and gone. */
export function uncommittedIn(work: Tree, commit: Tree): string[] {
  const paths = new Set([...applicationOf(work), ...applicationOf(commit)]);
  // A link to what does not go in by itself takes that along.
  for (const path of applicationOf(work)) {
    const real = realPath(work, path.split("/"));
    if (real !== undefined && work.has(real)) {
      paths.add(real);
    }
  }
  return [...paths].filter((path) => work.get(path) !== commit.get(path)).sort();
}

/** Paths at which one reads something else. */
export function differences(paths: readonly string[], one: Tree, other: Tree): string[] {
  return paths.filter((path) => read(one, path) !== read(other, path)).sort();
}
