import type { Attached } from "../../registry/attached.ts";
import { type Contents, parseContents } from "../../registry/contents.ts";
import type { Image } from "../../registry/image.ts";
import { documentPaths } from "../../registry/layers.ts";
import type { Measured, ProofRecord } from "../../registry/record.ts";

/** What is told about an image: plain values, as the JSON report has them. */
export interface Summary {
  reference: string;
  digest: string;
  created: string;
  compressedBytes: number;
  /** Bytes of all files in all layers. */
  storedBytes: number;
  /** Bytes that are stored and cannot be seen: a later layer has replaced or removed the file. */
  wastedBytes: number;
  /** Part of the stored bytes that can be seen, from 0 to 1. */
  efficiency: number;
  layers: { digest: string; title: string; compressedBytes: number; bytes: number; files: number; share: number }[];
  wasted: { path: string; bytes: number; times: number }[];
  packages: { name: string; version: string; index: string | null; sha256?: string | null }[];
  /** Size and origin are not known of images of earlier versions. */
  models: { file: string; sha256: string; sizeBytes?: number; url?: string }[];
  /** What the bill of materials is made of; not there in images of earlier versions. */
  contents: Contents | undefined;
  /** What lies beside the image in the registry; what it claims to be is not verified here. */
  attached: Attached[];
  proof: ProofRecord | undefined;
  /** Empty where nothing was measured. */
  measured: Measured;
  labels: Record<string, string>;
  history: string[];
}

/** @param attached to the image, as the registry lists it */
export function summarize(image: Image, attached: Attached[] = []): Summary {
  const wasted = wastedOf(image);
  const storedBytes = sum(image.layers.map(({ bytes }) => bytes));
  const compressedBytes = sum(image.layers.map((layer) => layer.compressedBytes));
  const wastedBytes = sum(wasted.map(({ bytes }) => bytes));
  const proof = image.documents.get(documentPaths.proof);
  const listed = image.documents.get(documentPaths.contents);
  const contents = listed === undefined ? undefined : parseContents(listed, image.reference);
  return {
    reference: image.reference,
    digest: image.digest,
    created: image.created,
    compressedBytes,
    storedBytes,
    wastedBytes,
    efficiency: storedBytes === 0 ? 1 : (storedBytes - wastedBytes) / storedBytes,
    layers: image.layers.map((layer, index) => ({
      digest: layer.digest,
      title: titleOf(layer.madeBy, index),
      compressedBytes: layer.compressedBytes,
      bytes: layer.bytes,
      files: layer.files.length,
      share: compressedBytes === 0 ? 0 : layer.compressedBytes / compressedBytes,
    })),
    wasted,
    packages: JSON.parse(image.documents.get(documentPaths.packages) ?? "[]"),
    models: [...image.documents].flatMap(([path, text]) => {
      const [sha256 = "", file = ""] = path.endsWith(".sha256") ? text.trim().split(/\s+/) : [];
      const { sizeBytes, url } = contents?.models.find((model) => model.file === file) ?? {};
      return file ? [{ file, sha256, ...(sizeBytes !== undefined && { sizeBytes }), ...(url && { url }) }] : [];
    }),
    contents,
    attached,
    proof: proof === undefined ? undefined : JSON.parse(proof),
    measured: JSON.parse(image.documents.get(documentPaths.measured) ?? "{}"),
    labels: image.labels,
    history: image.history,
  };
}

/** Files that are stored more often than they can be seen, with the bytes that nobody sees. */
function wastedOf({ layers }: Image): Summary["wasted"] {
  const visible = new Map<string, number>();
  const lost = new Map<string, { bytes: number; times: number }>();
  const lose = (path: string) => {
    const before = lost.get(path) ?? { bytes: 0, times: 0 };
    lost.set(path, { bytes: before.bytes + (visible.get(path) ?? 0), times: before.times + 1 });
    visible.delete(path);
  };
  for (const layer of layers) {
    for (const hidden of layer.removed) {
      for (const path of visible.keys()) {
        if (path === hidden || path.startsWith(hidden.endsWith("/") ? hidden : `${hidden}/`)) {
          lose(path);
        }
      }
    }
    for (const { path, bytes } of layer.files) {
      if (visible.has(path)) {
        lose(path);
      }
      visible.set(path, bytes);
    }
  }
  return [...lost]
    .map(([path, { bytes, times }]) => ({ path, bytes, times: times + (visible.has(path) ? 1 : 0) }))
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes);
}

const layerTitles: Readonly<Record<string, string>> = {
  venv: "Python packages",
  application: "application",
  commands: "command and health check",
  warm: "compiled in the build",
};

/** What a layer is, from the instruction that made it: our Dockerfiles name the folder that each is copied from. */
export function titleOf(madeBy: string, index: number): string {
  const [, folder] = /COPY (?:--\S+ )*\/layer\/([\w-]+)\//.exec(madeBy) ?? [];
  if (folder) {
    return layerTitles[folder] ?? `model ${folder}`;
  }
  if (/COPY .*\/tmp\/proof\//.test(madeBy)) {
    return "record of the proof";
  }
  if (/COPY .*\/tmp\/measured\//.test(madeBy)) {
    return "measurements of the proof";
  }
  if (/apt-get install/.test(madeBy)) {
    return "system packages";
  }
  if (/WORKDIR/.test(madeBy)) {
    return "working directory";
  }
  return index === 0
    ? "base image"
    : madeBy
        .replace(/^\/bin\/sh -c (#\(nop\) )?/, "")
        .replace(/\s+/g, " ")
        .slice(0, 60) || `layer ${index + 1}`;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
