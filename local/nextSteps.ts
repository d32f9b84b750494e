import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isRecord } from "../plan/isRecord.ts";
import { root } from "./paths.ts";
import { isLocal } from "./stackConfig.ts";

/** What of a stack decides what can be done with it next. */
export interface Published {
  stack: string;
  /** Empty where nothing was pushed. */
  imageRef: string;
  /** Whether a signature is attached. */
  signed: boolean;
  /** The value of facecraft:signing. */
  signing?: unknown;
  /** Whether there is a deploy stack of the same name. */
  deployable: boolean;
}

/** What a person can do with what an update has published: a line for each command, after one that names the image. */
export function nextSteps({ stack, imageRef, signed, signing, deployable }: Published): string[] {
  if (imageRef === "") {
    return ["Nothing was published, because facecraft:push is false. `make outputs` says what was built."];
  }
  const own = stack === "local" ? "" : ` STACK=${stack}`;
  const steps: [command: string, what: string][] = [
    ...(deployable ? [[`make deploy${own}`, "runs it and prints the address of a page to try it on"] as const] : []),
    [`make image-report${own}`, "shows its layers, packages and models, and what was proven of it"],
    signed
      ? [`make verify${own} ${signer(signing)}`, "says what is known of it, and whether its signature holds"]
      : [`make verify${own}`, "says what is known of it"],
  ].map(([command, what]) => [String(command), String(what)]);
  const width = Math.max(...steps.map(([command]) => command.length));
  return [`Published: ${imageRef}`, ...steps.map(([command, what]) => `  ${command.padEnd(width)}  ${what}`)];
}

/** How `make verify` is told whose signature it must be. */
function signer(signing: unknown): string {
  const { key, keyless } = isRecord(signing) ? signing : {};
  if (keyless === true) {
    return "IDENTITY=... ISSUER=...";
  }
  if (typeof key !== "string" || key.startsWith("env://")) {
    return "KEY=cosign.pub";
  }
  if (key.includes("://")) {
    return `KEY=${key}`;
  }
  // cosign writes both beside each other; the private one is nobody's business here.
  const beside = key.replace(/\.key$/, ".pub");
  return beside !== key && existsSync(resolve(root, beside)) ? `KEY=${beside}` : "KEY=cosign.pub";
}

/** @param outputs of the stack */
export async function published(stack: string, outputs: Record<string, unknown>): Promise<Published> {
  const { imageRef, signature } = outputs;
  const signed = typeof signature === "string" && signature !== "";
  return {
    stack,
    imageRef: typeof imageRef === "string" ? imageRef : "",
    signed,
    // Read only where it is asked for: the YAML library takes its time.
    signing: signed ? await signingOf(stack) : undefined,
    deployable: isLocal(stack) || existsSync(join(root, "deploy/compose", `Pulumi.${stack}.yaml`)),
  };
}

async function signingOf(stack: string): Promise<unknown> {
  const { parseStackFile } = await import("./stackFile.ts");
  const name = `Pulumi.${stack}.yaml`;
  return parseStackFile(readFileSync(join(root, name), "utf8"), name).config?.["facecraft:signing"];
}
