// Stand-in for the plugin of @pulumi/command, for what this project uses: the function local.run and local.Command.
import "./endWithEngine.ts";
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { main, type Provider } from "@pulumi/pulumi/provider/index.js";
import { packageVersion } from "../../versions.ts";

interface LocalCommand {
  create?: string;
  update?: string;
  delete?: string;
  dir?: string;
  environment?: Record<string, string>;
  triggers?: unknown[];
  stdin?: string;
}

const version = packageVersion("@pulumi/command");

function run(command: string, { dir, environment, stdin }: LocalCommand): { stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync("/bin/sh", ["-c", command], {
    encoding: "utf8",
    ...(dir && { cwd: dir }),
    ...(stdin && { input: stdin }),
    env: { ...process.env, ...environment },
  });
  if (error) {
    throw error;
  }
  if (status !== 0) {
    throw new Error(`exit status ${status}: running ${JSON.stringify(command)}:\n${stdout}${stderr}`);
  }
  return { stdout: stdout.replace(/\n+$/, ""), stderr: stderr.replace(/\n+$/, "") };
}

const provider: Provider = {
  version,
  schema: JSON.stringify({ name: "command", version, resources: {} }),
  async invoke(token, inputs: LocalCommand & { command: string }) {
    if (token !== "command:local:run") {
      throw new Error(`this stand-in for the command plugin has no function ${token}; install the real one`);
    }
    return { outputs: { ...inputs, ...run(inputs.command, inputs) } };
  },
  async check(urn, _olds, news: LocalCommand) {
    if (!urn.includes("command:local:Command")) {
      throw new Error(`this stand-in for the command plugin has no resource ${urn}; install the real one`);
    }
    return { inputs: news };
  },
  async diff(_id, _urn, olds: LocalCommand, news: LocalCommand) {
    const replaces = canonical(olds.triggers) === canonical(news.triggers) ? [] : ["triggers"];
    const compared = ["create", "update", "delete", "dir", "environment", "stdin"] as const;
    const changed = compared.some((key) => canonical(olds[key]) !== canonical(news[key]));
    return { changes: changed || replaces.length > 0, replaces };
  },
  async create(_urn, inputs: LocalCommand) {
    return { id: `command-${randomUUID()}`, outs: { ...inputs, ...(inputs.create && run(inputs.create, inputs)) } };
  },
  async update(_id, _urn, olds: { stdout?: string; stderr?: string }, news: LocalCommand) {
    const command = news.update ?? news.create;
    const before = { PULUMI_COMMAND_STDOUT: olds.stdout ?? "", PULUMI_COMMAND_STDERR: olds.stderr ?? "" };
    const environment = { ...before, ...news.environment };
    return { outs: { ...news, ...(command && run(command, { ...news, environment })) } };
  },
  read: async (id, _urn, props) => ({ id, props }),
  async delete(_id, _urn, props: LocalCommand) {
    if (props.delete) {
      run(props.delete, props);
    }
  },
};

// The engine hands maps over in any order.
function canonical(value: unknown): string {
  const sorted = (_key: string, item: unknown) =>
    item instanceof Object && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort()) : item;
  return JSON.stringify(value ?? null, sorted);
}

await main(provider, process.argv.slice(2));
