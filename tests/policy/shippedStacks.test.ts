import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { DockerfileParser } from "dockerfile-ast";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readArgs } from "../../artifacts/pins.ts";
import { obtainPythonTools, pythonTool } from "../../local/pythonTools.ts";
import { models } from "../../plan/models.ts";
import { variantNames, variants } from "../../plan/variants.ts";
import { type Inputs, unknown, viewImage } from "../../policy/image.ts";
import { defaultRegistries, judge } from "../../policy/rules.ts";

const read = (file: string) => parse(readFileSync(file, "utf8"));

/** A stack's config as the engine gives it to the program: the committed file, and the defaults of the project. */
function configOf(stack: string): Record<string, string> {
  const declarations: Record<string, { default?: unknown }> = read("Pulumi.yaml").config;
  const declared = Object.entries(declarations).map(([key, { default: value }]) => [`facecraft:${key}`, value]);
  const all = { ...Object.fromEntries(declared), ...read(`Pulumi.${stack}.yaml`).config };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    given.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}

/** What the program asks for in a preview of the stack: nothing that an update decides is known. */
async function preview(stack: string) {
  const registered: { type: string; name: string; inputs: Inputs }[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource({ type, name, inputs }) {
        registered.push({ type, name, inputs });
        return { id: `${name}-id`, state: inputs };
      },
      call: ({ token }) => {
        throw new Error(`a shipped stack asks for ${token}`);
      },
    },
    "facecraft",
    stack,
    true,
  );
  pulumi.runtime.setAllConfig(configOf(stack));
  await import(`../../index.ts?stack=${stack}`);
  await pulumi.runtime.disconnect(false);
  const inputsOf = (suffix: string) => registered.find(({ name }) => name.endsWith(suffix))?.inputs as Build;
  return {
    proof: inputsOf("-proof"),
    release: inputsOf("-release"),
    checksums: registered.filter(({ type }) => type.endsWith(":ModelChecksum")),
  };
}

/** Decisions of a variant's Rego file on inputs of the builder's policy. */
function decide(variant: keyof typeof variants, inputs: object[]): { allow: boolean; deny_msg: string[] }[] {
  const args = ["tests/policy/rego.py", `${variants[variant].dockerfile}.rego`];
  const run = spawnSync(pythonTool("python"), args, {
    input: inputs.map((one) => JSON.stringify(one)).join("\n"),
    encoding: "utf8",
  });
  expect(run.status, run.stderr).toBe(0);
  return run.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** The base images that a build asks for: what its Dockerfile stands on, by the build args that are given. */
function basesOf(dockerfile: string, buildArgs: Record<string, string>): string[] {
  const text = readFileSync(dockerfile, "utf8");
  const values = { ...Object.fromEntries(readArgs(text)), ...buildArgs };
  const expand = (value: string): string => {
    const expanded = value.replaceAll(/\$\{(\w+)\}/g, (_, name) => values[name] ?? "");
    return expanded === value ? value : expand(expanded);
  };
  const froms = DockerfileParser.parse(text).getFROMs();
  const stages = froms.map((from) => from.getBuildStage());
  const images = froms
    .map((from) => expand(from.getImage() ?? ""))
    .filter((image) => image !== "scratch" && !stages.includes(image));
  return [...new Set(images)];
}

/** The inputs of an image, as far as they say what enters its build. */
interface Build extends Inputs {
  buildArgs: Record<string, string>;
  dockerfile: { location: string };
  context: { location: string; named: Record<string, { location: string }> };
}

/** What the builder asks its policy in the course of a build, as buildx says it. */
function questions({ buildArgs, dockerfile, context }: Build): Record<string, object>[] {
  const env = { args: buildArgs };
  const locations = [context.location, ...Object.values(context.named).map(({ location }) => location)];
  return [
    ...locations.map((location) =>
      /^https?:/.test(location)
        ? { git: { remote: location.split("#")[0], isCommitRef: /#[0-9a-f]{40}$/.test(location) }, env }
        : { local: { name: location }, env },
    ),
    ...basesOf(dockerfile.location, buildArgs).map((ref) => ({
      image: { ref, isCanonical: /@sha256:[0-9a-f]{64}$/.test(ref) },
      env,
    })),
    ...Object.values(models).map(({ arg }) => ({ http: { url: buildArgs[`${arg}_URL`] }, env })),
  ];
}

beforeAll(obtainPythonTools, 300_000);

describe.each(variantNames)("the stack %s as it is committed", (stack) => {
  let planned: Awaited<ReturnType<typeof preview>>;
  beforeAll(async () => {
    planned = await preview(stack);
  });

  test("has a proof that a preview builds: no input of it is unknown or empty", () => {
    const text = JSON.stringify(planned.proof);
    expect(text).not.toMatch(/__pulumiUnknown|null|""/);
    expect(JSON.stringify(planned.release.tags)).toContain("__pulumiUnknown");
  });

  test("breaks no rule of the policy", () => {
    const verified = planned.checksums.map(({ name, inputs }) => ({ name, sha256: inputs.sha256 as string }));
    expect(verified).toHaveLength(Object.keys(models).length);
    for (const [name, inputs] of Object.entries({ proof: planned.proof, release: planned.release })) {
      const tags = (inputs.tags as unknown[] | undefined)?.map((tag) => (typeof tag === "string" ? tag : unknown));
      const image = viewImage(name, { ...inputs, tags }, true);
      expect(image.variant).toBe(stack);
      const broken = judge(image, { verified, allowedRegistries: defaultRegistries });
      expect(broken.filter(({ mandatory }) => mandatory)).toEqual([]);
      // No builder of these tests has a GPU.
      const warned = stack === "gpu" && name === "release" ? ["proven-on-gpu"] : [];
      expect(broken.map(({ rule }) => rule)).toEqual(warned);
    }
  });

  test("is let in by the Rego file beside its Dockerfile", () => {
    const asked = questions(planned.proof);
    expect(asked.map((question) => Object.keys(question)[0])).toEqual(
      "local git local image http http http".split(" "),
    );
    expect(decide(stack, asked)).toEqual(asked.map(() => ({ allow: true, deny_msg: [] })));
  });

  test("is refused by the Rego file for what is not pinned, with a sentence each", () => {
    const { buildArgs } = planned.proof;
    const base = Object.values(variants[stack].bases)[0] as string;
    const change = (args: Record<string, string>) =>
      questions({ ...planned.proof, buildArgs: { ...buildArgs, ...args } });
    const said = (asked: object[]) => decide(stack, asked).flatMap(({ deny_msg }) => deny_msg);
    const unpinned = (buildArgs[base] as string).replace(/@.*/, "");

    expect(said(change({ [base]: unpinned }))).toEqual([
      `The base image ${unpinned} has no digest. Pin it as name:tag@sha256:..., or run \`make update-bases\`.`,
    ]);
    expect(said(change({ U2NET_SHA256: "abc" }))).toContain(
      "Nothing is downloaded while U2NET_SHA256 is no pin: it must be 64 lowercase hex digits.",
    );
    expect(said([{ git: { remote: "https://example.org/app.git", isCommitRef: false } }])).toEqual([
      "The source https://example.org/app.git is not pinned to a commit. Name it as <url>#<commit>.",
    ]);
  });

  test.each([
    ["https://example.org/model.dat.bz2", true],
    ["https://example.org/model.dat.ZST?version=2", true],
    ["https://example.org/model.dat", false],
    ["https://example.org/model.dat?from=a.bz2", false],
  ])("lets %s in without a pin of the download: %s", (url, allow) => {
    const args = { ...planned.proof.buildArgs, U2NET_URL: url, U2NET_DOWNLOAD_SHA256: "none" };
    expect(decide(stack, [{ http: { url }, env: { args } }])[0]?.allow).toBe(allow);
  });
});
