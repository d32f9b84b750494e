import { isDeepStrictEqual } from "node:util";

/** What this project's SBOMs state of a component: https://cyclonedx.org/docs/1.6/json/#components */
interface Component {
  type?: unknown;
  name?: unknown;
  version?: unknown;
  purl?: unknown;
  hashes?: unknown;
  externalReferences?: unknown;
  properties?: unknown;
}

interface Bom {
  serialNumber?: unknown;
  metadata?: { timestamp?: unknown; component?: Component };
  components?: Component[];
}

/** What is compared of a component. An SBOM of another version of this program may say more. */
const stated = ["type", "name", "version", "purl", "hashes", "externalReferences", "properties"] as const;

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
  return [
    ...[...listed.keys()].filter((name) => !there.has(name)).map((name) => `The SBOM lists ${name}, which the image does not have.`),
    ...[...there.keys()].filter((name) => !listed.has(name)).map((name) => `The SBOM does not list ${name}, which the image has.`),
    ...[...there].flatMap(([name, components]) => {
      const found = listed.get(name);
      return found && !isDeepStrictEqual(found.map(fieldsOf), components.map(fieldsOf))
        ? [differenceOf(name, found, components)]
        : [];
    }),
    ...compareValues("serial number", is.serialNumber, wanted.serialNumber),
    ...compareValues("time", is.metadata?.timestamp, wanted.metadata?.timestamp),
  ];
}

function asBom(value: unknown): Bom | undefined {
  const bom = value as Bom | null;
  const isBom =
    typeof bom === "object" &&
    bom !== null &&
    Array.isArray(bom.components) &&
    bom.components.every((component) => typeof component === "object" && component !== null);
  return isBom ? bom : undefined;
}

/** Components by what a person calls them; nothing keeps two from having one name. */
function byName({ metadata, components = [] }: Bom): Map<string, Component[]> {
  const all = [...(metadata?.component ? [metadata.component] : []), ...components];
  return Map.groupBy(all, ({ type, name, version }) => `${type} ${name}${version === undefined ? "" : ` ${version}`}`);
}

function fieldsOf(component: Component): Record<string, unknown> {
  return Object.fromEntries(stated.map((field) => [field, inOrder(component[field])]));
}

function differenceOf(name: string, found: Component[], wanted: Component[]): string {
  const [is, should] = [found.map(fieldsOf), wanted.map(fieldsOf)];
  const field = stated.find((field) => !isDeepStrictEqual(is.map((row) => row[field]), should.map((row) => row[field])));
  const show = (rows: Record<string, unknown>[]) => rows.map((row) => JSON.stringify(row[field ?? "name"]) ?? "nothing").join(", ");
  return `The SBOM states as ${field} of ${name} ${show(is)}, but the image says ${show(should)}.`;
}

function compareValues(what: string, is: unknown, wanted: unknown): string[] {
  return is === wanted
    ? []
    : [`The SBOM's ${what} is ${JSON.stringify(is) ?? "not there"}, but that of this image's is ${JSON.stringify(wanted) ?? "not there"}.`];
}

/** Lists mean the same in any order, and objects whatever the order of their keys. */
function inOrder(value: unknown): unknown {
  return Array.isArray(value) ? value.map(sortedText).sort() : value;
}

function sortedText(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(Object.entries(value).sort()) : JSON.stringify(value);
}
