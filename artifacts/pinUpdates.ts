import { ArtifactError } from "./errors.ts";
import { patchArgs, readArgs, urlFault } from "./pins.ts";
import { formatBytes } from "./progress.ts";

/** A Dockerfile as it was read. */
export interface Dockerfile {
  path: string;
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
  if (names.length === 0) return all.map(([, row]) => row);
  return names.map((name) => {
    const found = all.find(([key, { arg }]) => [key, arg].some((known) => plain(known) === plain(name)));
    if (found) return found[1];
    throw new ArtifactError("pin", `MODEL=${name} is no model; there is ${all.map(([key]) => key).join(", ")}.`);
  });
}

/** The one URL of a model. @throws ArtifactError when a Dockerfile lacks it, or two of them name different ones. */
export function urlOf(model: ModelRow, files: readonly Dockerfile[]): string {
  const arg = `${model.arg}_URL`;
  const [first, ...others] = files.map((file) => ({ path: file.path, url: pinned(file, model, arg) }));
  if (first === undefined) throw new ArtifactError("pin", "there is no Dockerfile to read");
  for (const other of others) {
    if (other.url === first.url) continue;
    const where = `${first.path} has "${first.url}" and ${other.path} has "${other.url}"`;
    throw new ArtifactError("pin", `${model.title}: the Dockerfiles disagree about ${arg}: ${where}.`);
  }
  const fault = urlFault(first.url);
  if (fault !== undefined) throw new ArtifactError("pin", `${model.title}: ARG ${arg} in ${first.path}: ${fault}.`);
  return first.url;
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
    if (new Set(values.map(({ value }) => value)).size < 2) return [];
    const where = values.map(({ path, value }) => `${path} has ${value ? `"${value}"` : "none"}`);
    return [`${model.title}: the Dockerfiles disagree about ${arg}: ${where.join(" and ")}.`];
  });
}

/** The Dockerfiles with the changes applied and every other byte as it was; only those that differ. */
export function applyChanges(files: readonly Dockerfile[], changes: readonly PinChange[]): Dockerfile[] {
  return files.flatMap(({ path, text }) => {
    const values = changes.filter((change) => change.path === path).map((change) => [change.arg, change.new]);
    return values.length === 0 ? [] : [{ path, text: patchArgs(text, Object.fromEntries(values)) }];
  });
}

/** What happened to a model's pins, for a person. */
export function report(row: ModelRow, found: Upstream & { hint?: string }, changes: PinChange[]): string {
  const size = formatBytes(found.sizeBytes) + (found.hint ? `; ${found.hint}` : "");
  if (changes.length === 0) return `${row.title}: unchanged, ${found.sha256} (${size})`;
  const lines = changes.map(({ path, arg, old, new: now }) => `  ${path}: ${arg}\n    ${old || "(empty)"} -> ${now}`);
  return [`${row.title}: upstream serves another file than the pin (${size})`, ...lines].join("\n");
}

function pinned({ path, text }: Dockerfile, model: ModelRow, arg: string): string {
  const value = readArgs(text).get(arg);
  if (value !== undefined) return value;
  throw new ArtifactError("pin", `${model.title}: ${path} has no line "ARG ${arg}=...".`);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}
