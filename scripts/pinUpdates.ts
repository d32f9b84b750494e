import { readFileSync, statSync } from "node:fs";
import { ArtifactError, fileFault } from "../artifacts/errors.ts";
import { patchArgs, readArgs, urlFault } from "../artifacts/pins.ts";
import { quotable, quotedPair } from "../artifacts/redact.ts";
import { formatBytes } from "../artifacts/text.ts";
import { SourceUrl } from "../artifacts/url.ts";
import type { Replacement } from "./replaceFiles.ts";

/** A Dockerfile as it was read. */
export interface Dockerfile {
  path: string;
  bytes: Buffer;
  /** A character per byte, so that every byte that is not patched stays the same, whatever its encoding. */
  text: string;
}

/** A model as the Dockerfiles name it. */
export interface ModelRow {
  title: string;
  /** Prefix of its ARGs: `<arg>_URL`, `<arg>_SHA256`, `<arg>_DOWNLOAD_SHA256`. */
  arg: string;
}

/** What upstream serves now. */
export interface Upstream {
  /** Of the decompressed file. */
  sha256: string;
  /** Of the bytes as served. */
  downloadSha256: string;
  sizeBytes: number;
}

/** A pin in one Dockerfile that is not what upstream serves. */
export interface PinChange {
  path: string;
  arg: string;
  old: string;
  new: string;
}

/** The rows of MODEL; all of them when it is empty. @throws ArtifactError for a name that is none. */
export function select(wanted: string, rows: Readonly<Record<string, ModelRow>>): ModelRow[] {
  const names = wanted.split(/[\s,]+/).filter(Boolean);
  const all = Object.entries(rows);
  if (names.length === 0) {
    return all.map(([, row]) => row);
  }
  return names.map((name) => {
    const found = all.find(([key, { arg }]) => [key, arg].some((known) => plain(known) === plain(name)));
    if (found) {
      return found[1];
    }
    throw new ArtifactError("pin", `MODEL=${name} is no model; there is ${all.map(([key]) => key).join(", ")}.`);
  });
}

/**
 * Reads Dockerfiles. @throws ArtifactError for one that cannot be read, and for two names of one file: what is patched under
 * the one would be undone under the other.
 */
export function readDockerfiles(paths: readonly string[]): Dockerfile[] {
  const seen = new Map<string, string>();
  return paths.map((path) => {
    try {
      const status = statSync(path, { bigint: true });
      if (!status.isFile()) {
        throw new ArtifactError("file", `${path} cannot be read: it is not a file.`);
      }
      const { dev, ino } = status;
      const twin = seen.get(`${dev}:${ino}`);
      if (twin !== undefined) {
        throw new ArtifactError("file", `${twin} and ${path} are the same file; name it once.`);
      }
      seen.set(`${dev}:${ino}`, path);
      const bytes = readFileSync(path);
      return { path, bytes, text: bytes.toString("latin1") };
    } catch (error) {
      if (error instanceof ArtifactError) {
        throw error;
      }
      throw new ArtifactError("file", `${path} cannot be read: ${fileFault(error)}.`);
    }
  });
}

/** The one URL of a model. @throws ArtifactError when a Dockerfile lacks it, or two of them name different ones. */
export function urlOf(model: ModelRow, files: readonly Dockerfile[]): SourceUrl {
  const arg = `${model.arg}_URL`;
  const [first, ...others] = files.map((file) => ({
    path: file.path,
    url: Buffer.from(pinned(file, model, arg), "latin1").toString("utf8"),
  }));
  if (first === undefined) {
    throw new ArtifactError("pin", "there is no Dockerfile to read");
  }
  for (const other of others) {
    if (other.url === first.url) {
      continue;
    }
    const where = quotedPair(first.url, other.url, [`${first.path} has `, `${other.path} has `]);
    throw new ArtifactError("pin", `${model.title}: the Dockerfiles disagree about ${arg}: ${where}.`);
  }
  const fault = urlFault(first.url);
  if (fault !== undefined) {
    throw new ArtifactError("pin", `${model.title}: ARG ${arg} in ${first.path}: ${fault}.`);
  }
  return SourceUrl.parse(first.url);
}

/** The pins of a model's file, one for each Dockerfile. */
export function pinsOf(model: ModelRow, files: readonly Dockerfile[]): string[] {
  return files.map((file) => pinned(file, model, `${model.arg}_SHA256`));
}

/**
 * The pins that differ from upstream, file by file. `_DOWNLOAD_SHA256` is compared where it is written out; one that
 * refers to `_SHA256`, or is "none" because a mirror compresses by itself, follows on its own.
 */
export function changesFor(model: ModelRow, files: readonly Dockerfile[], upstream: Upstream): PinChange[] {
  return files.flatMap((file) => {
    const download = `${model.arg}_DOWNLOAD_SHA256`;
    const changes = [
      {
        path: file.path,
        arg: `${model.arg}_SHA256`,
        old: pinned(file, model, `${model.arg}_SHA256`),
        new: upstream.sha256,
      },
    ];
    const old = readArgs(file.text).get(download);
    if (old !== undefined && !old.includes("$") && old !== "none") {
      changes.push({ path: file.path, arg: download, old, new: upstream.downloadSha256 });
    }
    return changes.filter((change) => change.old !== change.new);
  });
}

/** Says where two Dockerfiles pin different hashes for the same ARG; empty when all agree. */
export function disagreements(model: ModelRow, files: readonly Dockerfile[]): string[] {
  return [`${model.arg}_SHA256`, `${model.arg}_DOWNLOAD_SHA256`].flatMap((arg) => {
    const values = files.map(({ path, text }) => ({ path, value: readArgs(text).get(arg) }));
    if (new Set(values.map(({ value }) => value)).size < 2) {
      return [];
    }
    const where = values.map(({ path, value }) => `${path} has ${value ? quotable(value) : "none"}`);
    return [`${model.title}: the Dockerfiles disagree about ${arg}: ${where.join(" and ")}.`];
  });
}

/** The Dockerfiles with the changes applied and every other byte as it was; only those that differ. */
export function applyChanges(files: readonly Dockerfile[], changes: readonly PinChange[]): Replacement[] {
  return files.flatMap(({ path, bytes, text }) => {
    const values = changes.filter((change) => change.path === path).map((change) => [change.arg, change.new]);
    const patched = () => Buffer.from(patchArgs(text, Object.fromEntries(values)), "latin1");
    return values.length === 0 ? [] : [{ path, text: patched(), before: bytes }];
  });
}

/**
 * Why what upstream serves now may be no model, or undefined: what it looks like, or that it shrank below half of what the
 * pinned file had. A pin makes whatever it names the truth, so this is asked before there is one.
 */
export function doubt(found: Upstream & { hint?: string }, formerBytes: number | undefined): string | undefined {
  if (found.sizeBytes === 0) {
    return "it is empty";
  }
  if (found.hint !== undefined) {
    return found.hint;
  }
  return formerBytes !== undefined && found.sizeBytes < formerBytes / 2
    ? `it has ${formatBytes(found.sizeBytes)}, less than half of the ${formatBytes(formerBytes)} of the pinned file`
    : undefined;
}

/** What happened to a model's pins, for a person. */
export function report(row: ModelRow, found: Upstream & { hint?: string }, changes: PinChange[]): string {
  const size = formatBytes(found.sizeBytes) + (found.hint ? `; ${found.hint}` : "");
  if (changes.length === 0) {
    return `${row.title}: unchanged, ${found.sha256} (${size})`;
  }
  const lines = changes.map(({ path, arg, old, new: now }) => `  ${path}: ${arg}\n    ${shown(old)} -> ${now}`);
  return [`${row.title}: upstream serves another file than the pin (${size})`, ...lines].join("\n");
}

function pinned({ path, text }: Dockerfile, model: ModelRow, arg: string): string {
  const value = readArgs(text).get(arg);
  if (value !== undefined) {
    return value;
  }
  throw new ArtifactError("pin", `${model.title}: ${path} has no line "ARG ${arg}=...".`);
}

function shown(pin: string): string {
  return pin === "" ? "(empty)" : quotable(pin).slice(1, -1);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}
