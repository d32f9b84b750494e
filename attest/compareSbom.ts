import { isDeepStrictEqual } from "node:util";

/** Of an SBOM, what is compared: https://cyclonedx.org/docs/1.6/json/ */
type Component = Record<string, unknown>;

interface Bom extends Record<string, unknown> {
  metadata?: { component?: Component } & Record<string, unknown>;
  components: Component[];
}

/** What must be stated of a component, if the image says it; whatever else is stated must be right, too. */
const needed = ["type", "name", "version", "purl", "hashes", "externalReferences", "properties"];

/** What another version of this program would write in another way. */
const free = ["$schema", "specVersion", "metadata", "components"];

/**
 * Compares a signed SBOM with the one that the image's own statements make.
 *
 * @param sbom CycloneDX as parsed JSON; whatever else it is, is told
 * @param expected made from the image
 * @returns the differences, one sentence each
 */
export function compareSbom(sbom: unknown, expected: unknown): string[] {
  const [is, wanted] = [asBom(sbom), asBom(expected)];
  if (is === undefined || wanted === undefined) {
    return ["The SBOM is no CycloneDX document with a list of components."];
  }
  const [listed, there] = [byName(is), byName(wanted)];
  const only = (these: typeof listed, those: typeof listed) => [...these.keys()].filter((name) => !those.has(name));
  return [
    ...only(listed, there).map((name) => `The SBOM lists ${name}, which the image does not have.`),
    ...only(there, listed).map((name) => `The SBOM does not list ${name}, which the image has.`),
    ...[...there].flatMap(([name, components]) => compareAll(name, listed.get(name) ?? components, components)),
    ...Object.keys(is)
      .filter((key) => !free.includes(key))
      .flatMap((key) => compareField(`The SBOM's ${key}`, is[key], wanted[key])),
    ...compareField("The SBOM's time", is.metadata?.timestamp, wanted.metadata?.timestamp),
  ];
}

function asBom(value: unknown): Bom | undefined {
  const isObject = (given: unknown): given is Record<string, unknown> => typeof given === "object" && given !== null;
  return isObject(value) && Array.isArray(value.components) && value.components.every(isObject)
    ? (value as Bom)
    : undefined;
}

/** Components by what a person calls them; nothing keeps two from having one name. */
function byName({ metadata, components }: Bom): Map<string, Component[]> {
  const all = [...(metadata?.component ? [metadata.component] : []), ...components];
  return Map.groupBy(all, ({ type, name, version }) => `${type} ${name}${version === undefined ? "" : ` ${version}`}`);
}

function compareAll(name: string, found: Component[], wanted: Component[]): string[] {
  if (found.length !== wanted.length) {
    return [`The SBOM lists ${name} ${found.length} times, but the image has it ${wanted.length} times.`];
  }
  const [is, should] = [found, wanted].map((all) => all.toSorted(byReference)) as [Component[], Component[]];
  return is.flatMap((component, at) =>
    [...new Set([...needed, ...Object.keys(component)])].flatMap((field) =>
      compareField(`The SBOM's ${field} of ${name}`, component[field], should[at]?.[field]),
    ),
  );
}

function byReference(one: Component, other: Component): number {
  return String(one["bom-ref"]) < String(other["bom-ref"]) ? -1 : 1;
}

function compareField(what: string, is: unknown, wanted: unknown): string[] {
  return isDeepStrictEqual(inOrder(is), inOrder(wanted))
    ? []
    : [`${what} is ${shown(is)}, but it must be ${shown(wanted)} by what the image says.`];
}

/** Lists mean the same in any order. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((entry) => JSON.stringify(sorted(entry))).sort();
  }
  return value;
}

/** Objects, and lists in them, in an order of their own. */
function sorted(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value)
        .map(([key, inner]) => JSON.stringify([Array.isArray(value) ? "" : key, sorted(inner)]))
        .sort()
    : value;
}

const mostShown = 200;

/** As a message may show it, on one line. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "not there";
  return text.length > mostShown ? `${text.slice(0, mostShown)}… (${text.length} characters)` : text;
}
