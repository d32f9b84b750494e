import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./run.ts";

/** Runs a script with tools of its own and a CA that the administrator has named. */
async function withCa(script: string, change: (env: NodeJS.ProcessEnv, tools: string) => NodeJS.ProcessEnv) {
  const tools = mkdtempSync(join(tmpdir(), "facecraft-tls-"));
  try {
    const named = join(tools, "named.pem");
    writeFileSync(named, "the administrator's CA\n");
    const env = { ...process.env, FACECRAFT_TOOLS: tools, SSL_CERT_FILE: named };
    const result = await run([process.execPath, "--input-type=module", "-e", script], ".", change(env, tools));
    expect(result.code, result.text).toBe(0);
    return result.text.trim();
  } finally {
    rmSync(tools, { recursive: true, force: true });
  }
}

const module = JSON.stringify(join(import.meta.dirname, "../local/tls.ts"));

test("a build trusts the CA that the administrator has named, also from within the local stacks' own environment", async () => {
  const script = `
    const { certificate, namedCaBundle } = await import(${module});
    const { readFileSync } = await import("node:fs");
    const { bundle } = await certificate();
    process.env.SSL_CERT_FILE = bundle;
    console.log(readFileSync(namedCaBundle(), "utf8").includes("the administrator's CA"));
  `;
  expect(await withCa(script, (env) => env)).toBe("true");
});

test("nothing is named where the file is not there", async () => {
  const script = `const { namedCaBundle } = await import(${module}); console.log(namedCaBundle());`;
  expect(await withCa(script, (env, tools) => ({ ...env, SSL_CERT_FILE: join(tools, "gone.pem") }))).toBe("undefined");
});
