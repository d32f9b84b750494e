import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readArgs } from "../../artifacts/pins.ts";
import { models } from "../../plan/models.ts";
import { variants } from "../../plan/variants.ts";
import { addressesOf, imageOf, type Thing, urlsIn } from "./things.ts";

/** A file of this repository that names outside things. */
interface Source {
  path: string;
  text: string;
}

// Every other address that stands in one of these is asked for as it is.
const scanned = [
  "docker/**/*",
  "plan/**/*.ts",
  "app/requirements*.txt",
  "local/tools/lock.json",
  "local/tools/buildkit/Dockerfile",
  ".github/workflows/*.yml",
  "Pulumi.*.yaml",
];

const platforms = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];

/** Everything outside that the repository in a folder names, each thing once. */
export function collect(root: string): Thing[] {
  const sources = globSync(scanned, { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort()
    .map((path): Source => ({ path, text: readFileSync(join(root, path), "utf8") }));
  const matching = (pattern: RegExp) => sources.filter(({ path }) => pattern.test(path));
  const dockerfiles = matching(/(^docker|\/buildkit)\/Dockerfile[^/]*$/).filter(
    ({ path }) => !/\.(dockerignore|rego)$/.test(path),
  );
  const python =
    /\bpython3\.(\d+)\b/.exec(
      matching(/^docker\//)
        .map(({ text }) => text)
        .join("\n"),
    )?.[1] ?? "11";
  const locks = matching(/^local\/tools\/lock\.json$/);
  const things = [
    ...dockerfiles.flatMap(fromDockerfile),
    ...torchIndexes(matching(/^app\//), `cp3${python}`),
    ...locks.flatMap(fromLock),
    ...fromSdks(root, new Set(locks.flatMap(({ text }) => Object.keys(JSON.parse(text))))),
    ...matching(/^\.github\//).flatMap(fromWorkflow),
    ...matching(/^Pulumi\./).flatMap(fromStack),
    ...fromPackageLock(root),
  ];
  const known = new Set(things.flatMap(addressesOf));
  const others = sources.flatMap(({ path, text }) =>
    urlsIn(text)
      .filter((url) => !known.has(url))
      .map((url): Thing => ({ kind: "address", where: path, name: url, url })),
  );
  return once([...things, ...others]);
}

/** The first of those that are the same thing, whatever file they stand in. */
function once(things: readonly Thing[]): Thing[] {
  const seen = new Map(things.toReversed().map((thing) => [JSON.stringify({ ...thing, where: "" }), thing]));
  return [...seen.values()].reverse();
}

function fromDockerfile({ path, text }: Source): Thing[] {
  const args = readArgs(text);
  const pinned = [...args].flatMap(([arg, url]) => {
    const prefix = /^(.+)_URL$/.exec(arg)?.[1];
    const sha256 = args.get(`${prefix}_SHA256`);
    const title = Object.values(models).find((model) => model.arg === prefix)?.title ?? prefix ?? "";
    return sha256 === undefined ? [] : [{ kind: "model" as const, where: path, name: title, url, sha256 }];
  });
  const images = [
    ...[...args]
      .filter(([arg, value]) => arg.endsWith("_IMAGE") || value.includes("@sha256:"))
      .map(([, value]) => value),
    ...[...text.matchAll(/^(?:FROM(?:\s+--\S+)*|#\s*syntax\s*=)\s*(\S+)/gim)].map(([, image]) => image ?? ""),
    ...[...text.matchAll(/--from=(\S+)/g), ...text.matchAll(/\bfrom=([^,\s]+)/g)].map(([, image]) => image ?? ""),
  ];
  return [...pinned, ...images.flatMap((image) => imageOf(image, path) ?? [])];
}

/** What each variant takes from its torch index; the versions are those that the application asks for. */
function torchIndexes(requirements: readonly Source[], python: string): Thing[] {
  return Object.values(variants).flatMap(({ torch: { index, flavour } }) => {
    const versions = new Map(
      requirements.flatMap(({ path, text }) =>
        [...text.matchAll(/^(torch\w*)==([\w.]+)/gm)].map(
          ([, name = "", version = ""]) => [name, { version, path }] as const,
        ),
      ),
    );
    return [...versions].map(([name, { version, path }]): Thing => {
      const full = `${version}+${flavour}`;
      return { kind: "torch index", where: path, name: `${name} ${full}`, index, package: name, version: full, python };
    });
  });
}

interface LockedTool {
  sums: string | null;
  files: Record<string, { url: string }>;
}

function fromLock({ path, text }: Source): Thing[] {
  const lock = JSON.parse(text) as Record<string, LockedTool>;
  return Object.entries(lock).flatMap(([tool, { sums, files }]) => {
    const kind = tool.startsWith("pulumi-resource-") ? "plugin" : "tool";
    const urls = Object.values(files).map(({ url }) => url);
    // One for all files, or one beside each.
    const lists = sums === null ? [] : sums.startsWith(".") ? urls.map((url) => url + sums) : [sums];
    return [
      ...Object.entries(files).map(([platform, { url }]) => download(path, kind, `${tool} ${platform}`, url)),
      ...lists.map((url): Thing => ({ kind, where: path, name: `${tool}, list of sums`, url })),
    ];
  });
}

function download(where: string, kind: "tool" | "plugin", name: string, url: string): Thing {
  const [, packaged, version] = /^npm:(.+)@(.+)$/.exec(url) ?? [];
  return packaged !== undefined && version !== undefined
    ? npmPackage(where, packaged, version)
    : { kind, where, name, url };
}

/** The plugins of the installed SDKs that the set-up leaves to Pulumi itself, where it looks for them. */
function fromSdks(root: string, locked: ReadonlySet<string>): Thing[] {
  return globSync("node_modules/@pulumi/*/package.json", { cwd: root }).flatMap((path) => {
    const { name, version, pulumi } = JSON.parse(readFileSync(join(root, path), "utf8")) as {
      name: string;
      version: string;
      pulumi?: { resource?: boolean; name?: string };
    };
    const plugin = `pulumi-resource-${pulumi?.name ?? name.replace("@pulumi/", "")}`;
    if (!pulumi?.resource || locked.has(plugin)) {
      return [];
    }
    return platforms.map((platform): Thing => {
      const url = `https://get.pulumi.com/releases/plugins/${plugin}-v${version}-${platform}.tar.gz`;
      return { kind: "plugin", where: "package.json", name: `${plugin} ${platform}`, url };
    });
  });
}

function fromWorkflow({ path, text }: Source): Thing[] {
  return [...text.matchAll(/^\s*(?:-\s*)?(uses|image|container):\s*["']?([^\s"'#]+)/gm)].flatMap(
    ([, key, value = ""]): Thing[] => {
      const image = key === "uses" ? /^docker:\/\/(.+)$/.exec(value)?.[1] : value;
      if (image !== undefined) {
        return [imageOf(image, path) ?? []].flat();
      }
      const [, repository, ref] = /^([\w.-]+\/[\w.-]+)[^@]*@(.+)$/.exec(value) ?? [];
      return repository && ref
        ? [{ kind: "action", where: path, name: `${repository}@${ref.slice(0, 12)}`, repository, ref }]
        : [];
    },
  );
}

/** The application that a shipped stack builds. */
function fromStack({ path, text }: Source): Thing[] {
  return [...text.matchAll(/:source:\s*["']?(https?:\/\/[^\s"'#]+)#([0-9a-f]{40})/g)].map(
    ([, url = "", commit = ""]): Thing => ({
      kind: "commit",
      where: path,
      name: `${url}#${commit.slice(0, 12)}`,
      url,
      commit,
    }),
  );
}

/** The packages of npm that are installed, by exact version. */
export function fromPackageLock(root: string): Thing[] {
  const path = "package-lock.json";
  const { packages } = JSON.parse(readFileSync(join(root, path), "utf8")) as {
    packages: Record<string, { name?: string; version?: string; link?: boolean }>;
  };
  return Object.entries(packages).flatMap(([folder, { name, version, link }]) => {
    const installed = name ?? folder.split("node_modules/").at(-1) ?? "";
    return folder === "" || link || version === undefined ? [] : [npmPackage(path, installed, version)];
  });
}

function npmPackage(where: string, name: string, version: string): Thing {
  return { kind: "npm package", where, name: `${name} ${version}`, package: name, version };
}
