// node local/headStart.ts STACK CONFIG: has the builder make what a stack's proof is made of, as the program itself asks for it, but
// without an engine: a machine that still compiles its engine has time for it. Says nothing, and a failure is none: the update
// builds the same, takes what is done, and tells what is wrong.
import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { run } from "./exec.ts";

/** The inputs of a docker-build Image that a step's key depends on, and the files and secrets that the steps read. */
interface Asked {
  dockerfile: { location: string };
  context: { location: string; named: Record<string, { location: string }> };
  buildArgs: Record<string, string>;
  platforms: string[];
  target: string;
  secrets?: Record<string, string>;
}

/** What buildctl is told to build the same as docker-build, and the environment in which its secrets are. */
export function buildctlFor(asked: Asked, folder: string): { args: string[]; env: Record<string, string> } {
  const { dockerfile, context, buildArgs, platforms, target, secrets = {} } = asked;
  const named = Object.entries(context.named).map(([name, { location }]): [string, string] => [name, location]);
  const isRemote = (location: string) => /^[\w+-]+:\/\//.test(location);
  const places = [
    ["context", context.location] as const,
    ["dockerfile", dirname(dockerfile.location)] as const,
    ...named.filter(([, location]) => !isRemote(location)),
  ];
  const options = {
    filename: basename(dockerfile.location),
    target,
    platform: platforms.join(","),
    ...Object.fromEntries(
      named.map(([name, location]) => [`context:${name}`, isRemote(location) ? location : `local:${name}`]),
    ),
    ...Object.fromEntries(Object.entries(buildArgs).map(([name, value]) => [`build-arg:${name}`, value])),
  };
  const variable = (id: string) => `FACECRAFT_SECRET_${id.toUpperCase()}`;
  return {
    args: [
      ...["build", "--frontend", "dockerfile.v0", "--progress", "plain"],
      ...places.flatMap(([name, place]) => ["--local", `${name}=${resolve(folder, place)}`]),
      ...Object.entries(options).flatMap(([name, value]) => ["--opt", `${name}=${value}`]),
      ...Object.keys(secrets).flatMap((id) => ["--secret", `id=${id},env=${variable(id)}`]),
    ],
    env: Object.fromEntries(Object.entries(secrets).map(([id, value]) => [variable(id), value])),
  };
}

/** Runs the program as a preview does, with nobody behind it, for what it asks of its proof. */
async function askedByProgram(stack: string, configFile: string): Promise<Asked> {
  const { config } = parse(readFileSync(configFile, "utf8")) as { config: Record<string, unknown> };
  const values = Object.entries(config).map(([key, value]): [string, string] => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return new Promise((found, reject) => {
    const newResource = ({ type, inputs }: pulumi.runtime.MockResourceArgs) => {
      if (type === "docker-build:index:Image" && inputs.target === "proof") {
        found(inputs);
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
  const { args, env } = buildctlFor(await askedByProgram(stack, configFile), process.cwd());
  const { code, text } = await run("buildctl", args, { env: { ...process.env, ...env } });
  console.log(text);
  process.exit(code);
}
