import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { saidOfItself } from "../run.ts";
import { DockerTools, hasDocker } from "./dockerTools.ts";

// The builder, its image and its clean-up; that it builds Facecraft's image is a test of those that take long.

let tools: DockerTools;
/** What somebody else has in the same Docker: a builder of buildx, and its cache. */
const stranger = "buildx_buildkit_facecraft-local0";
const program = `
import * as docker from "@pulumi/docker-build";
const { REGISTRY } = process.env;
export const { ref } = new docker.Image("bare", {
  push: false,
  context: { location: "context" },
  builder: { name: "facecraft-local" },
  tags: [\`\${REGISTRY}/bare:1\`],
  exports: [{ raw: "type=registry" }],
});
`;

describe.runIf(hasDocker)("a builder in Docker (needs root)", () => {
  beforeAll(async () => {
    tools = await DockerTools.make();
    writeFileSync(join(tools.folder, "empty"), "");
    await output("tar", ["-cf", "empty.tar", "empty"], { cwd: tools.folder });
    await tools.docker("import", join(tools.folder, "empty.tar"), "facecraft-test-stranger:1");
    await tools.docker("volume", "create", `${stranger}_state`);
    await tools.docker("container", "create", "--name", stranger, "facecraft-test-stranger:1", "/empty");
    expect(await tools.command("setup")).toSucceed();
  });
  afterAll(async () => {
    await tools?.docker("container", "rm", stranger).catch(() => {});
    await tools?.docker("volume", "rm", `${stranger}_state`).catch(() => {});
    await tools?.docker("image", "rm", "facecraft-test-stranger:1").catch(() => {});
    await tools?.remove();
  });

  async function container(): Promise<string> {
    const [name = ""] = await tools.inDocker();
    expect(name).toMatch(/^buildx_buildkit_facecraft-local-[0-9a-f]{8}$/);
    return name;
  }

  test("is a container of Docker that says whose it is, and a builder of buildx's driver for such", async () => {
    const name = await container();
    const [{ HostConfig, State }] = JSON.parse(await tools.docker("container", "inspect", name));
    expect(State.Running).toBe(true);
    expect(HostConfig.NetworkMode).toBe("host");
    const instance = JSON.parse(readFileSync(join(tools.folder, "local/buildx/instances/facecraft-local"), "utf8"));
    expect(instance).toMatchObject({
      Driver: "docker-container",
      Nodes: [{ Name: name.replace("buildx_buildkit_", "") }],
    });
    expect(readdirSync(join(tools.folder, "local/run"))).not.toContain("buildkitd.pid");
    const { text } = await tools.command("doctor");
    expect(text).toMatch(new RegExp(`facecraft-local +running +container ${name}`));
    expect(text).toMatch(new RegExp(`the builder's cache +[\\d.]+ ?[kMG]?B +volume ${name}_state`));
  });

  test("builds for the engine, and publishes to the local registry", async () => {
    const folder = join(tools.folder, "program");
    mkdirSync(join(folder, "context"), { recursive: true });
    writeFileSync(join(folder, "context/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
    writeFileSync(join(folder, "index.ts"), program);
    writeFileSync(join(folder, "package.json"), '{ "type": "module", "main": "index.ts" }');
    const runtime = "{ name: nodejs, options: { typescript: false } }";
    writeFileSync(join(folder, "Pulumi.yaml"), `name: bare\nmain: index.ts\nruntime: ${runtime}\n`);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const registry = `localhost:${tools.env.FACECRAFT_REGISTRY_PORT}`;
    const script = `eval "$(node "${root}/local/cli.ts" env | grep export)"; cd "${folder}" && export REGISTRY=${registry} &&
      pulumi stack select --create bare && pulumi up --yes --skip-preview --non-interactive && pulumi stack output ref`;
    const ref = (await output("sh", ["-c", script], { cwd: root, env: tools.env })).trim().split("\n").at(-1);
    expect(ref).toMatch(new RegExp(`^${registry}/bare:1@sha256:[0-9a-f]{64}$`));
    const manifests = join(
      tools.folder,
      "local/registry/docker/registry/v2/repositories/bare/_manifests/revisions/sha256",
    );
    expect(readdirSync(manifests).length).toBeGreaterThan(0);
  });

  test("stays what it is while it is there, and is started where it was stopped", async () => {
    const other = await tools.command("setup", { FACECRAFT_BUILDER: "root" });
    expect(other.code).toBe(1);
    expect(other.text).toContain(
      "FACECRAFT_BUILDER is root, but the local builder is in Docker. Run `make down` first.",
    );
    const name = await container();
    const id = () => tools.docker("container", "inspect", "--format", "{{.Id}} {{.State.Running}}", name);
    const before = await id();
    await tools.docker("container", "stop", name);
    expect(await tools.command("setup", { FACECRAFT_BUILDER: "" })).toSucceed();
    expect(await id()).toBe(before);
  });

  test("is looked for where Docker answers, should the one that had it be gone", async () => {
    const record = join(tools.folder, "local/run/docker-builder.json");
    const written = readFileSync(record, "utf8");
    writeFileSync(record, JSON.stringify({ docker: "unix:///nowhere/docker.sock" }));
    expect((await tools.command("down")).text).toContain(
      "stays, because no Docker answers at unix:///nowhere/docker.sock",
    );
    expect(await tools.command("setup")).toSucceed();
    expect(readFileSync(record, "utf8")).toBe(written);
  });

  test("says when it does not reach the registry", async () => {
    const module = JSON.stringify(join(root, "local/dockerBuilder.ts"));
    // Nothing listens on the first port.
    const { code, text } = await tools.code(
      `import { reachRegistry, theDocker } from ${module}; await reachRegistry(await theDocker(), 1);`,
    );
    expect(code).not.toBe(0);
    expect(text).toContain("The builder in Docker does not reach the local registry at localhost:1.");
    expect(text).toContain("connection refused");
  });

  test("lends a container in which a program of this machine may mount, to make a base image", async () => {
    const module = JSON.stringify(join(root, "local/dockerBuilder.ts"));
    const command = ["sh", "-c", 'mount -t tmpfs none /tmp && touch "$0"', join(tools.folder, "local/mounted")];
    const [here, folder] = [JSON.stringify(command), JSON.stringify(join(tools.folder, "local"))];
    const before = await tools.inDocker();
    expect(
      await tools.code(`import { asRootInDocker } from ${module}; await asRootInDocker(${here}, [${folder}]);`),
    ).toSucceed();
    expect(readdirSync(join(tools.folder, "local"))).toContain("mounted");
    expect(await tools.inDocker()).toEqual(before);
    expect(await tools.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")).not.toContain(":empty");
  });

  test("goes with `make down`, and nothing else does", async () => {
    const { code, text } = await tools.command("down");
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining("from Docker, and its cache") });
    expect(await tools.inDocker()).toEqual([]);
    expect(await tools.docker("container", "ls", "--all", "--format", "{{.Names}}")).toContain(stranger);
    expect(await tools.docker("volume", "ls", "--format", "{{.Name}}")).toContain(`${stranger}_state`);
    expect(saidOfItself(await tools.command("down"))).toBe("");
  });
});
