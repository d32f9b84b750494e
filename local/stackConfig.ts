import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { baseImages } from "./base.ts";
import { localBuilder, paths, root } from "./paths.ts";
import type { Ports } from "./ports.ts";
import { Failure } from "./say.ts";
import { wheelsAddress } from "./wheels.ts";

export { localBuilder };

/** Stacks that run on the embedded default. */
export function isLocal(stack: string): boolean {
  return stack === "local" || stack.startsWith("local-");
}

/**
 * Fills this machine's addresses in: `Pulumi.<stack>.yaml` says `${registry}` where only the machine knows.
 *
 * @returns path of the finished file
 */
export async function renderConfig(stack: string, ports: Ports): Promise<string> {
  const values: Record<string, string> = {
    registry: `localhost:${ports.registry}`,
    artifacts: `http://localhost:${ports.artifacts}`,
    wheels: wheelsAddress(ports),
    builder: localBuilder,
    caBundle: paths.trustedCas,
    ...(await baseImages()),
  };
  const name = `Pulumi.${stack}.yaml`;
  const text = fillIn(readStackFile(name), values, name);
  await mkdir(paths.config, { recursive: true });
  const file = join(paths.config, name);
  await writeFile(file, text);
  return file;
}

function readStackFile(name: string): string {
  try {
    return readFileSync(join(root, name), "utf8");
  } catch {
    throw new Failure(`There is no ${name}; the stacks of this project are cpu, gpu, local and local-gpu.`);
  }
}

/**
 * Whether a stack's config file asks for signed releases, or that of the deploy stack of the same name for verified ones. Every
 * update begins with this, so no file is parsed for it.
 */
export function asksForSigning(stack: string): boolean {
  return ["", "deploy/compose", "deploy/kubernetes"]
    .map((folder) => join(root, folder, `Pulumi.${stack}.yaml`))
    .some((file) => existsSync(file) && mentionsSigning(readFileSync(file, "utf8")));
}

/** Whether the text of a stack's config file has one of the keys for which cosign is needed. */
export function mentionsSigning(text: string): boolean {
  return /^\s*["']?facecraft(:signing|-deploy:verify|-kubernetes:verify)["']?\s*:/m.test(text);
}

/** Replaces each `${name}`. @throws Failure for a name that has no value */
export function fillIn(text: string, values: Readonly<Record<string, string>>, file: string): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name];
    if (value === undefined) {
      throw new Failure(
        `${file} has ${placeholder}; known are ${Object.keys(values)
          .map((key) => `\${${key}}`)
          .join(", ")}.`,
      );
    }
    return value;
  });
}
