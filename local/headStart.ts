// node local/headStart.ts STACK CONFIG: has the builder make what a stack's proof is made of, as the program itself asks for it, but
// without an engine: a machine that still compiles its engine has time for it. Says nothing, and a failure is none: the update
// builds the same, takes what is done, and tells what is wrong.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { isGitUrl } from "../plan/config.ts";
import { run } from "./exec.ts";
import { tools } from "./paths.ts";
import { parseStackFile } from "./stackFile.ts";

/** The inputs of a docker-build Image that a step's key depends on, and the files and secrets that the steps read. */
interface Asked {
  dockerfile: { location: string };
  context: { location: string; named: Record<string, { location: string }> };
  buildArgs: Record<string, string>;
  platforms: string[];
  target: string;
  secrets?: Record<string, string>;
}

/**
 * What buildctl is told to build the same as docker-build.
 *
 * @param folder the program's
 * @param secretFile where a secret's value is: a bundle of CAs is too long for an environment variable
 */
export function buildctlArgs(asked: Asked, folder: string, secretFile: (id: string) => string): string[] {
  const { dockerfile, context, buildArgs, platforms, target, secrets = {} } = asked;
  const named = Object.entries(context.named).map(([name, { location }]): [string, string] => [name, location]);
  const places = [
    ["context", context.location] as const,
    ["dockerfile", dirname(dockerfile.location)] as const,
    ...named.filter(([, location]) => !isGitUrl(location)),
  ];
  const options = {
    filename: basename(dockerfile.location),
    target,
    platform: platforms.join(","),
    ...Object.fromEntries(
      named.map(([name, location]) => [`context:${name}`, isGitUrl(location) ? location : `local:${name}`]),
    ),
    ...Object.fromEntries(Object.entries(buildArgs).map(([name, value]) => [`build-arg:${name}`, value])),
  };
  return [
    ...["build", "--frontend", "dockerfile.v0", "--progress", "plain"],
    ...places.flatMap(([name, place]) => ["--local", `${name}=${resolve(folder, place)}`]),
    ...Object.entries(options).flatMap(([name, value]) => ["--opt", `${name}=${value}`]),
    ...Object.keys(secrets).flatMap((id) => ["--secret", `id=${id},src=${secretFile(id)}`]),
  ];
}

/** Without the marks of what is secret. */
function unwrapped(value: unknown): unknown {
  if (pulumi.runtime.isRpcSecret(value)) {
    return unwrapped(pulumi.runtime.unwrapRpcSecret(value));
  }
  if (Array.isArray(value)) {
    return value.map(unwrapped);
  }
  const isObject = typeof value === "object" && value !== null;
  return isObject ? Object.fromEntries(Object.entries(value).map(([key, of]) => [key, unwrapped(of)])) : value;
}

/** Runs the program as a preview does, with nobody behind it, for what it asks of its proof. */
async function askedByProgram(stack: string, configFile: string): Promise<Asked> {
  const { config = {} } = parseStackFile(readFileSync(configFile, "utf8"), configFile);
  const values = Object.entries(config).map(([key, value]): [string, string] => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return new Promise((found, reject) => {
    const newResource = ({ type, inputs }: pulumi.runtime.MockResourceArgs) => {
      if (type === "docker-build:index:Image" && inputs.target === "proof") {
        found(unwrapped(inputs) as Asked);
      }
      return { id: "", state: inputs };
    };
    pulumi.runtime
      .setMocks({ newResource, call: () => ({}) }, "facecraft", stack, true)
      .then(() => pulumi.runtime.setAllConfig(Object.fromEntries(values)))
      .then(() => import("../index.ts"))
      .catch(reject);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [stack = "", configFile = ""] = process.argv.slice(2);
  const asked = await askedByProgram(stack, configFile);
  mkdirSync(tools, { recursive: true });
  const folder = mkdtempSync(join(tools, "head-start-"));
  const secretFile = (id: string) => join(folder, id);
  const stopped = new AbortController();
  process.once("SIGTERM", () => stopped.abort());
  try {
    for (const [id, value] of Object.entries(asked.secrets ?? {})) {
      writeFileSync(secretFile(id), value, { mode: 0o600 });
    }
    const proof = buildctlArgs(asked, process.cwd(), secretFile);
    // As it will be pushed: the builder keeps what it has compressed.
    const release = buildctlArgs({ ...asked, target: "release" }, process.cwd(), secretFile);
    for (const args of [proof, [...release, "--output", "type=image,push=false,oci-mediatypes=true"]]) {
      const { code, text } = await run("buildctl", args, { signal: stopped.signal });
      console.log(text);
      process.exitCode ||= code;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  // The program that was run waits for an engine.
  process.exit();
}
