import { formatBytes } from "../../artifacts/text.ts";
import { label } from "../../plan/naming.ts";
import type { ImageFacts } from "../../registry/facts.ts";
import { titleOf } from "./summary.ts";

/** Something that is another thing in another image; null where it is not there at all. */
export interface Change {
  name: string;
  from: string | null;
  to: string | null;
}

export interface LayerChange {
  title: string;
  /** Compressed bytes of all layers of this title. */
  from: number | null;
  to: number | null;
  /** Whether they are the same, byte for byte. */
  same: boolean;
}

/** How two images differ, as the JSON report has it. */
export interface Difference {
  /** Their digests. */
  from: string;
  to: string;
  image: Change[];
  application: Change[];
  base: Change[];
  models: Change[];
  python: Change[];
  /** Null where one of them, as an image of an earlier version, does not say. */
  debian: Change[] | null;
  layers: LayerChange[];
}

/** Compares two images by what they say of themselves; their files are not read. */
export function differenceOf(from: ImageFacts, to: ImageFacts): Difference {
  const changes = (valuesOf: (facts: ImageFacts) => Values) => changesOf(valuesOf(from), valuesOf(to));
  return {
    from: `${from.repository}@${from.digest}`,
    to: `${to.repository}@${to.digest}`,
    image: changes(imageValues),
    application: changes(applicationValues),
    base: changes(baseValues),
    models: changes(modelValues),
    python: changes(({ contents, record }) => packageValues(contents?.python) ?? record.packages),
    debian:
      from.contents && to.contents
        ? changesOf(packageValues(from.contents.debian) ?? {}, packageValues(to.contents.debian) ?? {})
        : null,
    layers: layerChanges(from, to),
  };
}

/** The difference as lines of text. */
export function differenceLines(difference: Difference): string[] {
  const { from, to, layers, debian } = difference;
  if (from === to) {
    return [`${from} is one image.`];
  }
  return [
    `from  ${from}`,
    `to    ${to}`,
    ...section("Image", difference.image),
    ...section("Application", difference.application),
    ...section("Base image", difference.base),
    ...section("Models", difference.models),
    ...section("Python packages", difference.python),
    ...(debian
      ? section("Debian packages", debian)
      : ["", "Debian packages: not known, because an image of an earlier version does not list them"]),
    ...["", "Size by layer, compressed"],
    ...layers.map(layerLine),
    layerLine({
      title: "all of it",
      from: sum(layers.map((layer) => layer.from)),
      to: sum(layers.map((layer) => layer.to)),
      same: layers.every(({ same }) => same),
    }),
  ];
}

/** What is compared, by name. */
type Values = Record<string, string>;

function changesOf(from: Values, to: Values): Change[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return names
    .map((name) => ({ name, from: oneOf(from, name), to: oneOf(to, name) }))
    .filter((change) => change.from !== change.to);
}

function oneOf(values: Values, name: string): string | null {
  return Object.hasOwn(values, name) ? (values[name] ?? null) : null;
}

function imageValues({ labels, platform, created, record, contents }: ImageFacts): Values {
  return there({
    created,
    platform,
    version: labels[label("version")],
    torch: record.torch,
    CUDA: record.cuda ?? "none",
    onnxruntime: record.onnxruntime,
    Python: contents?.interpreter.version,
    boot: record.boot,
    portrait: record.portrait,
    network: record.network,
    GPU: record.gpu?.name,
  });
}

function applicationValues({ labels, layers }: ImageFacts): Values {
  const [layer] = byTitle(layers).get("application") ?? [];
  return there({ commit: labels[label("revision")], layer: layer?.digest });
}

function baseValues({ labels, contents }: ImageFacts): Values {
  return there({
    name: labels[label("base.name")],
    digest: labels[label("base.digest")],
    distribution: contents?.distribution.title,
  });
}

function modelValues({ contents, record }: ImageFacts): Values {
  if (contents === undefined) {
    return Object.fromEntries(Object.entries(record.models).map(([file, sha256]) => [`${file} sha256`, sha256]));
  }
  return Object.fromEntries(
    contents.models.flatMap(({ file, sha256, sizeBytes, url }) => [
      [`${file} sha256`, sha256],
      [`${file} size`, formatBytes(sizeBytes)],
      [`${file} URL`, url],
    ]),
  );
}

/** Versions by name; a name that is there several times, as of two architectures, has all of them. */
function packageValues(rows: readonly { name: string; version: string }[] | undefined): Values | undefined {
  if (rows === undefined) {
    return undefined;
  }
  const versions = Map.groupBy(rows, ({ name }) => name);
  return Object.fromEntries(
    [...versions].map(([name, all]) => [name, [...new Set(all.map(({ version }) => version))].join(", ")]),
  );
}

function there(values: Record<string, string | undefined>): Values {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => !!entry[1]));
}

type Layers = ImageFacts["layers"];

function byTitle(layers: Layers): Map<string, Layers> {
  return Map.groupBy(layers, (layer) => titleOf(layer.madeBy, layers.indexOf(layer)));
}

function layerChanges(from: ImageFacts, to: ImageFacts): LayerChange[] {
  const [before, after] = [byTitle(from.layers), byTitle(to.layers)];
  const size = (layers: Layers | undefined) => (layers ? sum(layers.map((layer) => layer.size)) : null);
  const digests = (layers: Layers | undefined) => layers?.map(({ digest }) => digest).join();
  return [...new Set([...before.keys(), ...after.keys()])].map((title) => ({
    title,
    from: size(before.get(title)),
    to: size(after.get(title)),
    same: digests(before.get(title)) === digests(after.get(title)),
  }));
}

function section(title: string, changes: readonly Change[]): string[] {
  if (changes.length === 0) {
    return ["", `${title}: the same`];
  }
  return ["", title, ...changes.map(changeLine)];
}

function changeLine({ name, from, to }: Change): string {
  return from === null ? `  + ${name} ${to}` : to === null ? `  - ${name} ${from}` : `  ~ ${name} ${from} -> ${to}`;
}

function layerLine({ title, from, to, same }: LayerChange): string {
  const bytes = (size: number | null) => (size === null ? "-" : formatBytes(size)).padStart(10);
  const grown = (to ?? 0) - (from ?? 0);
  const sign = grown < 0 ? "-" : "+";
  const said = same ? "the same" : grown === 0 ? "other bytes" : `${sign}${formatBytes(Math.abs(grown))}`;
  return `${bytes(from)} ${bytes(to)}  ${said.padEnd(12)}  ${title}`;
}

function sum(sizes: readonly (number | null)[]): number {
  return sizes.reduce<number>((total, size) => total + (size ?? 0), 0);
}
