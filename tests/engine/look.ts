import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { paths } from "../../local/paths.ts";
import type { Clone } from "./harness.ts";

// An independent look at what was published: nothing here is the program's own code, but system programs.

/** Files by their paths: `file <sha256>`, `executable <sha256>` or `link <target>`. */
export type Tree = Map<string, string>;

export interface Published {
  os: string;
  architecture: string;
  labels: Record<string, string>;
  /** What is below /app/src, by its path below /app. */
  application: Tree;
  /** Size and sha256 of the models, by their absolute paths. */
  models: Map<string, { sizeBytes: number; sha256: string }>;
  /** `e_machine` of the ELF header of the image's Python. */
  machine: number;
}

/** ELF machine by the name that an image's config has for it. */
export const elfMachines: Readonly<Record<string, number>> = { amd64: 62, arm64: 183 };

/** Reads an image by its digest: config and layers, unpacked by `tar`. */
export async function look(clone: Clone, digest: string): Promise<Published> {
  const manifest = JSON.parse((await fetchBytes(clone, `manifests/${digest}`)).toString());
  const config = JSON.parse((await fetchBytes(clone, `blobs/${manifest.config.digest}`)).toString());
  const found = new Map<string, Found>();
  for (const layer of manifest.layers as { digest: string }[]) {
    for (const [path, what] of await contentOf(clone, layer.digest)) {
      found.set(path, what);
    }
  }
  const below = (folder: string) => [...found].filter(([path]) => path.startsWith(folder));
  return {
    os: config.os,
    architecture: config.architecture,
    labels: config.config?.Labels ?? {},
    application: new Map(below("app/src/").map(([path, { content }]) => [path.slice("app/".length), content])),
    models: new Map(
      [...below("app/models/"), ...below("home/appuser/.u2net/")].map(([path, { content, sizeBytes }]) => [
        `/${path}`,
        { sizeBytes, sha256: content.replace(/^\w+ /, "") },
      ]),
    ),
    machine: pythons.map((path) => found.get(path)?.machine).find((machine) => machine !== undefined) ?? 0,
  };
}

/** The files of an image's configuration and layers, as the registry has them. */
export async function layerFiles(clone: Clone, digest: string): Promise<string[]> {
  const { config, layers } = JSON.parse((await fetchBytes(clone, `manifests/${digest}`)).toString());
  const files = [];
  for (const part of [config, ...layers]) {
    files.push(await layerFile(clone, part.digest));
  }
  return files;
}

/** What a commit has in a folder (`""` or `<name>/`), by the bytes of its blobs; whatever the environment says of git. */
export function committed(repository: string, commit: string, prefix: string): Tree {
  const variables = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"));
  const env = { ...Object.fromEntries(variables), GIT_NO_REPLACE_OBJECTS: "1" };
  const git = (...args: string[]) => execFileSync("git", args, { cwd: repository, env, maxBuffer: 2 ** 28 });
  const listed = git("ls-tree", "-r", "-z", "--full-tree", commit, ...(prefix ? ["--", prefix] : [])).toString();
  return new Map(
    listed
      .split("\0")
      .filter(Boolean)
      .map((entry) => {
        const at = entry.indexOf("\t");
        const [mode = "", , blob = ""] = entry.slice(0, at).split(" ");
        return [entry.slice(at + 1 + prefix.length), contentIn(mode, git("cat-file", "blob", blob))];
      }),
  );
}

function contentIn(mode: string, bytes: Buffer): string {
  return mode === "120000" ? `link ${bytes}` : `${mode === "100755" ? "executable" : "file"} ${sha256(bytes)}`;
}

/** What a folder has, but for its history. */
export function treeOf(folder: string): Tree {
  return new Map(walk(folder, "").map(([path, { content }]) => [path, content]));
}

interface Found {
  content: string;
  sizeBytes: number;
  /** Of an ELF file. */
  machine?: number;
}

function walk(root: string, path: string): [string, Found][] {
  const whole = join(root, path);
  const status = lstatSync(whole);
  if (status.isSymbolicLink()) {
    return [[path, { content: `link ${readlinkSync(whole)}`, sizeBytes: 0 }]];
  }
  if (status.isDirectory()) {
    return readdirSync(whole)
      .filter((name) => path !== "" || name !== ".git")
      .flatMap((name) => walk(root, join(path, name)));
  }
  if (!status.isFile()) {
    return [];
  }
  const bytes = readFileSync(whole);
  const content = `${status.mode & 0o100 ? "executable" : "file"} ${sha256(bytes)}`;
  const isElf = bytes.subarray(0, 4).equals(Buffer.from("\x7fELF"));
  return [[path, { content, sizeBytes: bytes.length, ...(isElf && { machine: bytes.readUInt16LE(18) }) }]];
}

const pythons = ["usr/local/bin/python3.11", "usr/bin/python3.11"];

/** What of a layer is looked at; kept, because most images share most of their layers. */
async function contentOf(clone: Clone, digest: string): Promise<[string, Found][]> {
  const layer = await layerFile(clone, digest);
  const kept = `${layer}.json`;
  if (!existsSync(kept)) {
    const folder = mkdtempSync(join(tmpdir(), "facecraft-look-"));
    try {
      const wanted = ["app/src", "app/models", "home/appuser/.u2net", ...pythons];
      await ended(spawn("tar", ["-xpf", layer, "-C", folder, ...wanted], { stdio: "ignore" }));
      writeFileSync(kept, JSON.stringify(walk(folder, "")));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return JSON.parse(readFileSync(kept, "utf8"));
}

/** Layers that were fetched once are kept: most cases share most of them. */
async function layerFile(clone: Clone, digest: string): Promise<string> {
  const cache = join(clone.state, "..", "layers");
  const file = join(cache, digest.replace(":", "-"));
  if (!existsSync(file)) {
    mkdirSync(cache, { recursive: true });
    const name = clone.repository.slice(clone.repository.indexOf("/") + 1);
    const url = `https://localhost:${clone.ports.registry}/v2/${name}/blobs/${digest}`;
    execFileSync("curl", ["-fsS", "--cacert", join(paths.tls, "ca.pem"), "-o", file, url]);
  }
  return file;
}

function fetchBytes(clone: Clone, path: string): Promise<Buffer> {
  const name = clone.repository.slice(clone.repository.indexOf("/") + 1);
  const accept = ["manifest.v1", "index.v1"].map((kind) => `application/vnd.oci.image.${kind}+json`).join(", ");
  return new Promise((resolve, reject) => {
    const options = { ca: readFileSync(join(paths.tls, "ca.pem")), headers: { accept } };
    request(`https://localhost:${clone.ports.registry}/v2/${name}/${path}`, options, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        response.statusCode === 200
          ? resolve(Buffer.concat(parts))
          : reject(new Error(`${path} answered ${response.statusCode}`)),
      );
    })
      .on("error", reject)
      .end();
  });
}

function ended(child: ReturnType<typeof spawn>): Promise<void> {
  // `tar` fails when a layer has none of what is wanted.
  return new Promise((resolve, reject) => child.on("error", reject).on("close", () => resolve()));
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
