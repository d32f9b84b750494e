import fc from "fast-check";

/** A change of a stack's config. */
export interface Config {
  what: string;
  change(text: string): string;
  /** `released` as well where it may be either, as long as what is said of the release is true. */
  outcome: "released" | "refused" | "either";
  /** What the release must say of its version. */
  version?: string;
}

const plus = (line: string) => (text: string) => `${text}\n  facecraft:${line}\n`;

export const unchanged: Config = { what: "as it is", change: (text) => text, outcome: "released" };

/** Configs that can be released. */
export const right: readonly Config[] = [
  ...["1.0.1", "2.0.0-rc.1", "1.0.0+build.5", "10.20.30"].map((version) => ({
    what: `version ${version}`,
    change: plus(`version: "${version}"`),
    outcome: "released" as const,
    version,
  })),
  { what: "no smoke test", change: plus("smokeTest: false"), outcome: "released" },
  { what: "no push", change: plus("push: false"), outcome: "released" },
  { what: "its own platform", change: plus('platforms: ["linux/amd64"]'), outcome: "released" },
];

/** Configs that may not be released, or only as something else than the host's own. */
export const wrong: readonly Config[] = [
  ...["linux/arm64", "linux/mips128", "windows/amd64", "linux/amd64/v9"].map((platform) => ({
    what: `platform ${platform}`,
    change: plus(`platforms: ["${platform}"]`),
    outcome: "either" as const,
  })),
  ...["1.0", "latest", "1.0.0 ", "v1.0.0", "1.0.0\\nFROM scratch"].map((version) => ({
    what: `version ${version}`,
    change: plus(`version: "${version}"`),
    outcome: "refused" as const,
  })),
  { what: "an unknown key", change: plus("varaint: cpu"), outcome: "refused" },
  { what: "a word for a boolean", change: plus("push: maybe"), outcome: "refused" },
  {
    what: "a repository with a tag",
    change: (text) => text.replace(/(repository: \S+)/, "$1:latest"),
    outcome: "refused",
  },
  {
    what: "a registry that is not there",
    change: (text) => text.replace(/repository: .*/, "repository: localhost:2/facecraft"),
    outcome: "refused",
  },
  {
    what: "a pin of 63 digits",
    change: (text) => text.replace(/sha256: (\w{63})\w/, "sha256: $1"),
    outcome: "refused",
  },
  {
    what: "a pin with a wrong digit",
    change: (text) => text.replace(/sha256: (\w{63})(\w)/, (_, all, last) => `sha256: ${all}${last === "0" ? 1 : 0}`),
    outcome: "refused",
  },
  {
    what: "a base without a digest",
    change: (text) => text.replace(/(python: \S+)@sha256:\w+/, "$1"),
    outcome: "refused",
  },
  {
    what: "a base that is not there",
    change: (text) => text.replace(/(python: \S+@sha256:)\w{8}/, "$100000000"),
    outcome: "refused",
  },
  {
    what: "no builder of that name",
    change: (text) => text.replace(/builder: .*/, "builder: nobody"),
    outcome: "refused",
  },
];

// fast-check shows a case as data: functions would say nothing.
const named = (configs: readonly Config[]) => fc.constantFrom(...configs.map(({ what }) => what));
export const rightConfig = named(right);
export const wrongConfig = named(wrong);

export function configNamed(what: string): Config {
  const found = [unchanged, ...right, ...wrong].find((config) => config.what === what);
  if (found === undefined) {
    throw new Error(`there is no config "${what}"`);
  }
  return found;
}
