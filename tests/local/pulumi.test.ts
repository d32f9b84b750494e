import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { pastProxies, toolEnvironment } from "../../local/pulumi.ts";

test("the services of this machine are asked past every proxy, and what the user excepts stays excepted", () => {
  const here = "localhost,127.0.0.1";
  expect(pastProxies({})).toEqual({ no_proxy: here, NO_PROXY: here });
  const both = `.corp.example,${here}`;
  expect(pastProxies({ NO_PROXY: ".corp.example" })).toEqual({ no_proxy: both, NO_PROXY: both });
  expect(pastProxies({ no_proxy: ".corp.example", NO_PROXY: "other" })).toEqual({ no_proxy: both, NO_PROXY: both });
});

test("the engine starts the Node.js that runs this, though the environment's own is an older one", () => {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-path-"));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, "node"), "#!/bin/sh\necho v20.20.2\n");
  chmodSync(join(folder, "node"), 0o755);
  vi.stubEnv("PATH", [folder, process.env.PATH].join(delimiter));
  const version = execFileSync("node", ["--version"], { env: toolEnvironment(), encoding: "utf8" });
  expect(version.trim()).toBe(process.version);
});
