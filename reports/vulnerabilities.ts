// Known vulnerabilities, by a scanner that the user has: it is given a bill of materials, and asks its own database.
import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import spawn from "nano-spawn";
import * as v from "valibot";
import { printable } from "../artifacts/redact.ts";

export interface Vulnerability {
  /** Such as CVE-2024-1234, or the database's own. */
  id: string;
  package: string;
  version: string;
  /** In the scanner's words; empty where it has none. */
  severity: string;
}

/** What a scanner found, the worst first, or why it could not look. */
export type Scanned = { scanner: string; found: Vulnerability[] } | { scanner: string; trouble: string };

interface Scanner {
  name: string;
  args: (file: string) => string[];
  /** Exit codes with which it has looked. */
  looked: number[];
  read: (output: unknown) => Vulnerability[];
}

/** A first run fetches a database. */
const scanMs = 300_000;

const GrypeSchema = v.object({
  matches: v.array(
    v.object({
      vulnerability: v.object({ id: v.string(), severity: v.optional(v.string(), "") }),
      artifact: v.object({ name: v.string(), version: v.string() }),
    }),
  ),
});

const OsvSchema = v.object({
  results: v.nullish(
    v.array(
      v.object({
        packages: v.array(
          v.object({
            package: v.object({ name: v.string(), version: v.string() }),
            vulnerabilities: v.optional(v.array(v.object({ id: v.string() })), []),
            groups: v.optional(
              v.array(v.object({ ids: v.array(v.string()), max_severity: v.optional(v.string(), "") })),
              [],
            ),
          }),
        ),
      }),
    ),
    [],
  ),
});

/** In the order in which they are looked for. */
const scanners: Scanner[] = [
  {
    name: "grype",
    args: (file) => [`sbom:${file}`, "--output", "json", "--quiet"],
    looked: [0],
    read: (output) =>
      v.parse(GrypeSchema, output).matches.map(({ vulnerability: { id, severity }, artifact: { name, version } }) => ({
        id,
        package: name,
        version,
        severity: severity.toLowerCase(),
      })),
  },
  {
    name: "osv-scanner",
    args: (file) => ["scan", "--format", "json", "--sbom", file],
    // 1: it found some.
    looked: [0, 1],
    read: (output) =>
      (v.parse(OsvSchema, output).results ?? []).flatMap(({ packages }) =>
        packages.flatMap(({ package: { name, version }, vulnerabilities, groups }) =>
          vulnerabilities.map(({ id }) => ({
            id,
            package: name,
            version,
            severity: groups.find(({ ids }) => ids.includes(id))?.max_severity ?? "",
          })),
        ),
      ),
  },
];

/** Whether there is a scanner on the PATH. */
export async function hasScanner(): Promise<boolean> {
  return (await findScanner()) !== undefined;
}

/**
 * Gives bills of materials to the scanner that there is. Never throws for what a scanner says.
 *
 * @param sboms CycloneDX as JSON
 * @returns one answer for each; undefined where there is no scanner
 */
export async function scan(sboms: readonly string[]): Promise<Scanned[] | undefined> {
  const scanner = await findScanner();
  if (scanner === undefined) {
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), "facecraft-sbom-"));
  try {
    const answers: Scanned[] = [];
    // One after the other: both would fetch the database.
    for (const [index, sbom] of sboms.entries()) {
      const file = join(folder, `${index}.cdx.json`);
      await writeFile(file, sbom);
      answers.push(await ask(scanner, file));
    }
    return answers;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function findScanner(): Promise<Scanner | undefined> {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  for (const scanner of scanners) {
    const places = folders.map((folder) => access(join(folder, scanner.name), constants.X_OK));
    if ((await Promise.allSettled(places)).some(({ status }) => status === "fulfilled")) {
      return scanner;
    }
  }
  return undefined;
}

async function ask({ name, args, looked, read }: Scanner, file: string): Promise<Scanned> {
  let stdout: string;
  try {
    ({ stdout } = await spawn(name, args(file), { stdin: "ignore", timeout: scanMs }));
  } catch (error) {
    const failed = error as Error & { exitCode?: number; stdout?: string; stderr?: string };
    if (failed.exitCode === undefined || !looked.includes(failed.exitCode)) {
      const said = (failed.stderr || failed.message).trim().split("\n").at(-1) ?? "";
      return { scanner: name, trouble: printable(said) };
    }
    stdout = failed.stdout ?? "";
  }
  try {
    return { scanner: name, found: read(JSON.parse(stdout)).toSorted(worstFirst) };
  } catch {
    return { scanner: name, trouble: "it answered something else than the findings that this project knows" };
  }
}

/** How the known vulnerabilities of one image differ from those of another, as lines of text. */
export function vulnerabilityLines(scanned: readonly Scanned[] | undefined): string[] {
  const [from, to] = scanned ?? [];
  if (from === undefined || to === undefined) {
    return ["Known vulnerabilities: not looked for, because there is neither grype nor osv-scanner on the PATH"];
  }
  const trouble = [from, to].find((answer) => "trouble" in answer);
  if (!("found" in from) || !("found" in to)) {
    return [`Known vulnerabilities: not known, because ${from.scanner} failed: ${trouble?.trouble}`];
  }
  const [before, after] = [from, to].map(({ found }) => new Set(found.map(keyOf))) as [Set<string>, Set<string>];
  const line = (sign: string, { id, package: name, version, severity }: Vulnerability) =>
    `  ${sign} ${id} ${name} ${version}${severity && ` (${severity})`}`;
  const [came, went] = [
    to.found.filter((one) => !before.has(keyOf(one))).map((one) => line("+", one)),
    from.found.filter((one) => !after.has(keyOf(one))).map((one) => line("-", one)),
  ];
  const title = `Known vulnerabilities, by ${to.scanner}: ${before.size} and ${after.size}`;
  return came.length + went.length === 0 ? [`${title}, the same`] : [title, ...unique(came), ...unique(went)];
}

/** A package that is another version with the same vulnerability has no new one. */
function keyOf({ id, package: name }: Vulnerability): string {
  return `${id} ${name}`;
}

function unique(lines: readonly string[]): string[] {
  return [...new Set(lines)];
}

const severities = ["critical", "high", "medium", "low", "negligible"];

/** Words of grype and scores of osv-scanner, each from the worst down; then by name. */
function worstFirst(one: Vulnerability, other: Vulnerability): number {
  const rank = ({ severity }: Vulnerability) => {
    const index = severities.indexOf(severity);
    return Number(severity) > 0 ? 10 - Number(severity) : index < 0 ? severities.length : index;
  };
  const [left, right] = [one, other].map(({ package: name, id }) => `${name} ${id}`) as [string, string];
  return rank(one) - rank(other) || (left < right ? -1 : left > right ? 1 : 0);
}
