import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./run.ts";

const root = join(import.meta.dirname, "..");

/** Prints the names of the packages that are loaded by the files that are named. */
const program = `
import { registerHooks } from "node:module";
const packages = new Set();
registerHooks({
  load(url, context, next) {
    packages.add(/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]);
    return next(url, context);
  },
});
process.on("exit", () => console.log([...packages].join("\\n")));
for (const path of process.argv.slice(1)) await import(path);
process.exit();`;

async function loadedBy(...files: string[]): Promise<{ code: number; packages: string[] }> {
  const command = [process.execPath, "--input-type=module", "-e", program, ...files];
  const { code, text } = await run(command, root, process.env);
  return { code, packages: text.split("\n") };
}

test("an update that has nothing to do loads no client and no reader for what it does not do", async () => {
  const imports = readFileSync(join(root, "index.ts"), "utf8").matchAll(/from "(\.\/[^"]+)"/g);
  const files = [...imports].map(([, path]) => join(root, path as string));
  expect(files).toContain(join(root, "plan/preflight.ts"));
  const { code, packages } = await loadedBy(...files);
  expect(code, packages.join("\n")).toBe(0);
  expect(packages).toContain("@pulumi/pulumi");
  for (const heavy of ["undici", "tar-stream", "nano-spawn", "unbzip2-stream", "xz-decompress", "p-retry"]) {
    expect(packages).not.toContain(heavy);
  }
});

test("a set-up that has nothing to do loads only what runs programs", async () => {
  // Without a command, it says which there are.
  const { code, packages } = await loadedBy(join(root, "local/cli.ts"));
  expect(code).toBe(2);
  expect(packages.filter((name) => /^[@a-z]/.test(name) && !name.startsWith("usage:"))).toEqual(["nano-spawn"]);
});
