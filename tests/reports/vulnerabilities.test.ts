import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { scan, type Vulnerability, vulnerabilityLines } from "../../reports/vulnerabilities.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-scanners-"));
  // No scanner that the machine has, but the shell and node.
  vi.stubEnv("PATH", `${folder}:/bin:${dirname(process.execPath)}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Puts a program on the PATH that keeps what it is given and answers what a scanner does. */
function scanner(name: string, answer: unknown, exitCode = 0, said = ""): void {
  writeFileSync(join(folder, `${name}.json`), typeof answer === "string" ? answer : JSON.stringify(answer));
  const script = `#!/bin/sh\necho "$*" >> ${folder}/asked\necho '${said}' >&2\ncat ${folder}/${name}.json\nexit ${exitCode}\n`;
  writeFileSync(join(folder, name), script);
  chmodSync(join(folder, name), 0o755);
}

const match = (id: string, name: string, severity: string) => ({
  vulnerability: { id, severity, dataSource: "https://example.org" },
  artifact: { name, version: "1.0", type: "python" },
});

describe("a scanner that the user has", () => {
  test("grype is given each bill of materials", async () => {
    scanner("grype", { matches: [match("CVE-2", "torch", "High"), match("CVE-1", "numpy", "Low")] });
    const found: Vulnerability[] = [
      { id: "CVE-2", package: "torch", version: "1.0", severity: "high" },
      { id: "CVE-1", package: "numpy", version: "1.0", severity: "low" },
    ];
    expect(await scan(["{}", "{}"])).toEqual([
      { scanner: "grype", found },
      { scanner: "grype", found },
    ]);
    expect(readFileSync(join(folder, "asked"), "utf8")).toMatch(/^sbom:\S+\/0\.cdx\.json --output json --quiet\n/);
  });

  test("osv-scanner is, where there is no grype; what it finds is no failure", async () => {
    const packages = [
      {
        package: { name: "torch", version: "2.0.1", ecosystem: "PyPI" },
        vulnerabilities: [{ id: "GHSA-1" }],
        groups: [{ ids: ["GHSA-1"], max_severity: "9.8" }],
      },
    ];
    scanner("osv-scanner", { results: [{ source: {}, packages }] }, 1);
    const found = [{ id: "GHSA-1", package: "torch", version: "2.0.1", severity: "9.8" }];
    expect(await scan(["{}"])).toEqual([{ scanner: "osv-scanner", found }]);
  });

  test("may fail, or answer something else, and that is told and is no failure of ours", async () => {
    scanner("grype", "", 1, "failed to load vulnerability db");
    const failed = await scan(["{}", "{}"]);
    expect(failed?.[0]).toEqual({ scanner: "grype", trouble: "failed to load vulnerability db" });
    expect(vulnerabilityLines(failed)).toEqual([
      "Known vulnerabilities: not known, because grype failed: failed to load vulnerability db",
    ]);
    scanner("grype", { other: [] });
    expect(await scan(["{}"])).toEqual([
      { scanner: "grype", trouble: "it answered something else than the findings that this project knows" },
    ]);
  });

  test("may not be there", async () => {
    expect(await scan(["{}", "{}"])).toBeUndefined();
    expect(vulnerabilityLines(undefined)).toEqual([
      "Known vulnerabilities: not looked for, because there is neither grype nor osv-scanner on the PATH",
    ]);
  });
});

test("the vulnerabilities of two images are told by what came and what went", () => {
  const one = (id: string, version = "1.0") => ({ id, package: "torch", version, severity: "high" });
  const scanned = (...found: Vulnerability[]) => ({ scanner: "grype", found });
  expect(
    vulnerabilityLines([scanned(one("CVE-1"), one("CVE-2")), scanned(one("CVE-2", "1.1"), one("CVE-3", "1.1"))]),
  ).toEqual(["Known vulnerabilities, by grype: 2 and 2", "  + CVE-3 torch 1.1 (high)", "  - CVE-1 torch 1.0 (high)"]);
  expect(vulnerabilityLines([scanned(one("CVE-1")), scanned(one("CVE-1", "1.1"))])).toEqual([
    "Known vulnerabilities, by grype: 1 and 1, the same",
  ]);
});
