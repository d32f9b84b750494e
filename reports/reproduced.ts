// What came of building an image again: pure comparisons of two images, layer by layer.
import type { Contents } from "../registry/contents.ts";
import type { LayerEntries } from "../registry/layerEntries.ts";

/** A layer of one of the two images. */
export interface LayerOf {
  /** sha256 of what the registry sends, compressed. */
  digest: string;
  /** sha256 of the same, unpacked. */
  diffId: string;
  /** The instruction that made it. */
  madeBy: string;
}

/** What is in two layers that are not the same. */
export interface Inside {
  original: LayerEntries;
  again: LayerEntries;
}

export interface Verdict {
  title: string;
  digest: string;
  /** Equal: the same bytes. Packed otherwise: the same bytes once unpacked. As known: what no two builds have alike. */
  state: "equal" | "packed otherwise" | "as known" | "different";
  /** Why it is not equal, as a sentence. */
  why: string;
}

/** What is different in every build, by the title of its layer, and why. The paths of the files are the same. */
const neverEqual: Readonly<Record<string, string>> = {
  "measurements of the proof": "It says how long the proof took, which differs from run to run.",
  "compiled in the build": "numba puts addresses of its memory into the names in its machine code.",
};

/** Layers that say, or are made of, the versions that Debian serves on the day. */
const fromDebian: readonly string[] = ["system packages", "record of the proof"];

/**
 * Says of a pair of layers whether they are the same.
 *
 * @param title what the layer is
 * @param inside what is in them, where that was read because they differ
 * @param contents what either image says that it is made of
 */
export function judgeLayer(
  title: string,
  original: LayerOf,
  again: LayerOf | undefined,
  inside?: Inside,
  contents: { original?: Contents | undefined; again?: Contents | undefined } = {},
): Verdict {
  const { digest } = original;
  if (again === undefined) {
    return { title, digest, state: "different", why: "The image that was built again has no such layer." };
  }
  if (digest === again.digest) {
    return { title, digest, state: "equal", why: "" };
  }
  if (original.diffId === again.diffId) {
    const why = "The same content, compressed by another version of the builder.";
    return { title, digest, state: "packed otherwise", why };
  }
  const known = neverEqual[title];
  if (known && inside && onlyContentDiffers(inside)) {
    return { title, digest, state: "as known", why: known };
  }
  const files = inside ? differenceOf(inside) : "";
  const debian = fromDebian.includes(title) ? versionsOf(contents.original?.debian, contents.again?.debian) : [];
  const why = [...(debian.length > 0 ? [`Debian serves other versions now: ${few(debian)}.`] : []), files].join(" ");
  return { title, digest, state: "different", why };
}

function onlyContentDiffers({ original, again }: Inside): boolean {
  return original.size === again.size && [...original.keys()].every((path) => again.has(path));
}

/** Names what two layers do not have in common. */
export function differenceOf({ original, again }: Inside): string {
  const only = (these: LayerEntries, those: LayerEntries) =>
    [...these.keys()].filter((path) => !those.has(path)).sort();
  const changed = [...original].filter(([path, is]) => again.has(path) && again.get(path) !== is).map(([path]) => path);
  const parts: [string, string[]][] = [
    ["only in the registry's", only(original, again)],
    ["only in the one built again", only(again, original)],
    ["with other content", changed.sort()],
  ];
  const told = parts.filter(([, paths]) => paths.length > 0).map(([how, paths]) => `${how}: ${few(paths)}`);
  return told.length > 0
    ? `${told.join("; ")}.`.replace(/^./, (first) => first.toUpperCase())
    : "It has the same files, with other owners, modes, times, or in another order.";
}

/** Packages that the two have in other versions, where both say which they have. */
function versionsOf(one: Contents["debian"] | undefined, other: Contents["debian"] | undefined): string[] {
  if (one === undefined || other === undefined) {
    return [];
  }
  const [before, now] = [one, other].map((rows) => new Map(rows.map(({ name, version }) => [name, version])));
  const names = [...new Set([...(before?.keys() ?? []), ...(now?.keys() ?? [])])];
  return names
    .filter((name) => before?.get(name) !== now?.get(name))
    .map((name) => `${name} ${now?.get(name) ?? "not there"} in place of ${before?.get(name) ?? "none"}`);
}

const mostNamed = 5;

function few(names: readonly string[]): string {
  const rest = names.length - mostNamed;
  return names.slice(0, mostNamed).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** Whether all that can be the same is the same. */
export function isReproduced(verdicts: readonly Verdict[]): boolean {
  return verdicts.every(({ state }) => state !== "different");
}
