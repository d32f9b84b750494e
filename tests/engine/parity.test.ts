import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { home, installStandIn, pulumiTools } from "../../local/tools.ts";
import { run } from "../run.ts";

/** A program that uses the plugins as this project does. */
const program = `
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

const config = new pulumi.Config("parity");
const keepers = { context: config.require("keeper"), "label.with.dots": "x" };
const suffix = new random.RandomId("suffix", { byteLength: 4, keepers });
const asked = await command.local.run({ command: "pwd | sed 's,.*/,,'; echo err >&2", dir: "app" });
const check = new command.local.Command("check", {
  create: "printf '%s\\\\n' \\"$EXPECTED\\"; echo before: $PULUMI_COMMAND_STDOUT; basename \\"$PWD\\"; exit \\"$CODE\\"",
  environment: { EXPECTED: config.require("expected"), CODE: config.require("code") },
});
export const shapes = suffix.hex.apply((hex) => [hex.length, /^[0-9a-f]+$/.test(hex)]);
export const consistent = pulumi.all([suffix.hex, suffix.b64Url, suffix.b64Std, suffix.dec, suffix.id]).apply(
  ([hex, b64Url, b64Std, dec, id]) =>
    Buffer.from(b64Url, "base64url").toString("hex") === hex &&
    Buffer.from(b64Std, "base64").toString("hex") === hex &&
    BigInt("0x" + hex).toString() === dec &&
    id === b64Url,
);
export const said = [asked.stdout, asked.stderr];
export const stdout = check.stdout;
`;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Runs the program through the steps of a release with the plugins of a Pulumi home; returns what happened. */
async function story(pulumiHome: string): Promise<unknown[]> {
  const top = mkdtempSync(join(tmpdir(), "facecraft-parity-"));
  folders.push(top);
  const folder = join(top, "program");
  mkdirSync(join(folder, "app"), { recursive: true });
  writeFileSync(join(folder, "index.ts"), program);
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "main": "index.ts" }');
  const runtime = "runtime: { name: nodejs, options: { typescript: false } }";
  writeFileSync(join(folder, "Pulumi.yaml"), `name: parity\nmain: index.ts\n${runtime}\n`);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const env = { ...(await localEnvironment(join(top, "state"))), PULUMI_HOME: pulumiHome };
  await output("pulumi", ["stack", "select", "--create", "test"], { cwd: folder, env });

  const happened: unknown[] = [];
  const step = async (command: string, values: Record<string, string>) => {
    const config = join(top, "config.yaml");
    writeFileSync(
      config,
      `config:\n${Object.entries(values)
        .map(([key, value]) => `  parity:${key}: "${value}"\n`)
        .join("")}`,
    );
    const flags = ["--stack", "test", "--config-file", config, "--non-interactive", "--suppress-progress"];
    const approval = command === "preview" ? [] : ["--yes", "--skip-preview"];
    const { code, text } = await run(["pulumi", command, ...flags, ...approval], folder, env);
    const outputs = await output("pulumi", ["stack", "output", "--json", "--stack", "test"], { cwd: folder, env });
    const summary = text.split("Resources:")[1]?.split("Duration")[0]?.trim().split(/\n\s*/);
    happened.push({ command, failed: code !== 0, summary, outputs: JSON.parse(outputs) });
    return text;
  };
  const first = { keeper: "a", expected: "one", code: "0" };
  await step("preview", first);
  await step("up", first);
  await step("up", first);
  await step("refresh", first);
  await step("preview", { ...first, keeper: "b" });
  await step("up", { ...first, keeper: "b" });
  await step("up", { ...first, keeper: "b", expected: "two" });
  const failure = await step("up", { keeper: "b", expected: "a difference", code: "3" });
  happened.push({ tells: /exit status 3/.test(failure) && failure.includes("a difference") });
  await step("up", { keeper: "b", expected: "three", code: "0" });
  await step("destroy", first);
  return happened;
}

const real = pulumiTools
  .filter(({ name }) => /-(command|random)$/.test(name))
  .every((tool) => tool.find()?.origin !== "stand-in");

describe("the stand-ins for the plugins of @pulumi/command and @pulumi/random", () => {
  test.runIf(real)("behave as the real ones do, step by step", async () => {
    const mixed = mkdtempSync(join(tmpdir(), "facecraft-home-"));
    folders.push(mixed);
    cpSync(home, mixed, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/resource-(command|random)-/.test(path),
    });
    await installStandIn("command", mixed);
    await installStandIn("random", mixed);

    expect(await story(mixed)).toEqual(await story(home));
  });

  test.skipIf(real)("run a release from preview to destroy (the real ones are not here to compare with)", async () => {
    const happened = (await story(home)) as { failed?: boolean }[];
    expect(happened.filter(({ failed }) => failed)).toHaveLength(1);
  });
});
