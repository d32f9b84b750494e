import { appendFileSync, globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { variants } from "../../plan/variants.ts";
import { Upstream, wheelOn } from "../../scripts/upstream/ask.ts";
import { collect } from "../../scripts/upstream/collect.ts";
import { askPackage } from "../../scripts/upstream/npm.ts";
import { table } from "../../scripts/upstream/table.ts";
import { addressesOf, type Thing } from "../../scripts/upstream/things.ts";
import { serve } from "../artifacts/server.ts";
import { ToolClone } from "../local/toolClone.ts";

const digest = `sha256:${"5".repeat(64)}`;
const commit = "6".repeat(40);

describe("what is asked for", () => {
  test("has every address in the files that name outside things, and no thing twice", () => {
    const things = collect(root);
    const asked = new Set(things.flatMap(addressesOf));
    const files = globSync(
      ["docker/**", "plan/**", "local/tools/lock.json", ".github/workflows/*.yml", "Pulumi.{cpu,gpu}.yaml"],
      { cwd: root },
    ).filter((file) => statSync(join(root, file)).isFile());
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      const named =
        readFileSync(join(root, file), "utf8").match(/https?:\/\/[\w.-]+\.[a-z]{2,}\/[\w%./#+-]*[\w#/]/g) ?? [];
      expect(
        named.filter((url) => !asked.has(url)),
        file,
      ).toEqual([]);
    }
    const identities = things.map((thing) => JSON.stringify({ ...thing, where: "" }));
    expect(identities.filter((one, index) => identities.indexOf(one) !== index)).toEqual([]);
  });

  test("has a thing of every kind, and the index of every variant", () => {
    const things = collect(root);
    const kinds = ["base image", "model", "torch index", "tool", "plugin", "action", "commit", "npm package"];
    expect([...new Set(things.map(({ kind }) => kind))]).toEqual(expect.arrayContaining(kinds));
    for (const { torch } of Object.values(variants)) {
      const packages = things.flatMap((thing) =>
        thing.kind === "torch index" && thing.index === torch.index ? [thing] : [],
      );
      expect(packages.map((thing) => [thing.package, thing.version])).toEqual([
        ["torch", `2.0.1+${torch.flavour}`],
        ["torchvision", `0.15.2+${torch.flavour}`],
      ]);
    }
  });

  describe("follows when the repository comes to name something new", () => {
    let clone: ToolClone;
    beforeEach(() => {
      clone = new ToolClone();
    });
    afterEach(() => clone.remove());

    const add = (file: string, text: string) => appendFileSync(join(clone.root, file), `\n${text}\n`);
    const workflow = ".github/workflows/release.yml";

    test.each<[string, string, string, Partial<Thing>]>([
      [
        "a base",
        "docker/Dockerfile.cpu",
        `ARG TOOL_IMAGE=ghcr.io/a/b:1@${digest}`,
        { kind: "base image", name: "ghcr.io/a/b:1" },
      ],
      [
        "a stage's image",
        "docker/Dockerfile.gpu",
        "FROM --platform=linux/amd64 alpine:3.22 AS x",
        { kind: "base image", name: "alpine:3.22" },
      ],
      [
        "an image to copy from",
        "docker/Dockerfile.cpu",
        `COPY --from=quay.io/a/b:2@${digest} /x /`,
        { kind: "base image", name: "quay.io/a/b:2" },
      ],
      [
        "a frontend",
        "docker/Dockerfile.cpu",
        "# syntax=docker/dockerfile:1.20",
        { kind: "base image", name: "docker/dockerfile:1.20" },
      ],
      [
        "a model",
        "docker/Dockerfile.cpu",
        `ARG NEW_URL=https://models.test/m.onnx\nARG NEW_SHA256=${"7".repeat(64)}`,
        { kind: "model", url: "https://models.test/m.onnx", sha256: "7".repeat(64) },
      ],
      [
        "a download in a step",
        "docker/Dockerfile.gpu",
        "RUN curl -fsSL https://site.test/x.sh | sh",
        { kind: "address", name: "https://site.test/x.sh" },
      ],
      [
        "an action",
        workflow,
        `      - uses: owner/name/sub@${commit} # v1.0.0`,
        { kind: "action", repository: "owner/name", ref: commit },
      ],
      [
        "an action by tag",
        workflow,
        "      - uses: owner/name@v3",
        { kind: "action", repository: "owner/name", ref: "v3" },
      ],
      [
        "an action that is an image",
        workflow,
        "      - uses: docker://ghcr.io/a/c:1",
        { kind: "base image", name: "ghcr.io/a/c:1" },
      ],
      ["a service's image", workflow, "        image: postgres:17", { kind: "base image", name: "postgres:17" }],
      [
        "an address in a workflow",
        workflow,
        "      - run: curl https://get.test/it",
        { kind: "address", url: "https://get.test/it" },
      ],
      [
        "an index",
        "plan/variants.ts",
        'const other = "https://index.test/whl/rocm";',
        { kind: "address", url: "https://index.test/whl/rocm" },
      ],
      [
        "an application",
        "Pulumi.cpu.yaml",
        `  facecraft:source: https://git.test/app.git#${commit}`,
        { kind: "commit", url: "https://git.test/app.git", commit },
      ],
      [
        "a mirror of a model",
        "Pulumi.gpu.yaml",
        "      urls: [https://mirror.test/a.pth]",
        { kind: "address", url: "https://mirror.test/a.pth" },
      ],
    ])("%s", (_, file, text, expected) => {
      add(file, text);
      expect(collect(clone.root)).toContainEqual(expect.objectContaining(expected));
    });

    test("a tool", () => {
      const lock = {
        ...clone.lock(),
        jq: {
          version: "1",
          sums: "https://tools.test/sums",
          files: { "linux-amd64": { url: "https://tools.test/jq" } },
        },
      };
      writeFileSync(join(clone.root, "local/tools/lock.json"), JSON.stringify(lock));
      const things = collect(clone.root);
      expect(things).toContainEqual(
        expect.objectContaining({ kind: "tool", name: "jq linux-amd64", url: "https://tools.test/jq" }),
      );
      expect(things).toContainEqual(expect.objectContaining({ kind: "tool", url: "https://tools.test/sums" }));
    });

    test("the list of sums beside each file of a tool", () => {
      const files = {
        "linux-amd64": { url: "https://tools.test/jq-x" },
        "linux-arm64": { url: "https://tools.test/jq-a" },
      };
      const lock = { ...clone.lock(), jq: { version: "1", sums: ".sha256", files } };
      writeFileSync(join(clone.root, "local/tools/lock.json"), JSON.stringify(lock));
      expect(collect(clone.root).flatMap(addressesOf)).toEqual(
        expect.arrayContaining(["https://tools.test/jq-x.sha256", "https://tools.test/jq-a.sha256"]),
      );
    });

    test("a package of npm", () => {
      const file = join(clone.root, "package-lock.json");
      const lock = JSON.parse(readFileSync(file, "utf8"));
      lock.packages["node_modules/a/node_modules/@b/c"] = { version: "1.2.3" };
      writeFileSync(file, JSON.stringify(lock));
      expect(collect(clone.root)).toContainEqual(
        expect.objectContaining({ kind: "npm package", package: "@b/c", version: "1.2.3" }),
      );
    });
  });
});

describe("a wheel on the page of an index", () => {
  const wanted = { name: "torch", version: "2.0.1+cpu", python: "cp311" };
  const find = (page: string) => wheelOn(page, wanted, "https://index.test/torch/");

  test.each([
    ['<a href="/whl/cpu/torch-2.0.1%2Bcpu-cp311-cp311-linux_x86_64.whl#sha256=0">torch</a>'],
    ["<A class=x HREF='https://cdn.test/torch-2.0.1+cpu-cp311-cp311-manylinux_2_28_x86_64.whl'>"],
    ["<a data-x='1'\n href=torch-2.0.1+cpu-cp311-cp311-manylinux2014_x86_64.whl>"],
    ['<a href="torch-2.0.1+cpu-py3-none-any.whl?x=1">'],
  ])("is found: %s", (page) => {
    expect(find(page)).toMatchObject({ state: "there" });
  });

  test.each([
    ["another version", '<a href="torch-2.0.10%2Bcpu-cp311-cp311-linux_x86_64.whl">'],
    ["another flavour", '<a href="torch-2.0.1%2Bcu118-cp311-cp311-linux_x86_64.whl">'],
    ["no flavour", '<a href="torch-2.0.1-cp311-cp311-manylinux1_x86_64.whl">'],
    ["another Python", '<a href="torch-2.0.1%2Bcpu-cp310-cp310-linux_x86_64.whl">'],
    ["another processor", '<a href="torch-2.0.1%2Bcpu-cp311-cp311-manylinux_2_28_aarch64.whl">'],
    ["another system", '<a href="torch-2.0.1%2Bcpu-cp311-cp311-win_amd64.whl">'],
    ["another package", '<a href="torchvision-2.0.1%2Bcpu-cp311-cp311-linux_x86_64.whl">'],
    ["its metadata only", '<a href="torch-2.0.1%2Bcpu-cp311-cp311-linux_x86_64.whl.metadata">'],
    ["nothing", "<html></html>"],
  ])("is not taken from a page with %s", (_, page) => {
    expect(find(page)).toMatchObject({
      state: "gone",
      detail: expect.stringContaining("https://index.test/torch/ lists no wheel"),
    });
  });
});

describe("an answer that is another thing than what was asked for", () => {
  test.each([
    ["a list", "[]"],
    ["an error", '{"error":"not_found"}'],
    ["nothing", "null"],
    ["no versions", '{"versions":null}'],
    ["a text in place of versions", '{"versions":"1.0.0"}'],
  ])("says nothing about a package of npm: %s", async (_, body) => {
    const server = await serve((_request, response) => void response.end(body));
    expect(await askPackage("a", "1.0.0", { registry: server.url })).toMatchObject({ state: "not known" });
  });

  test("is a version of npm that is nothing", async () => {
    const server = await serve((_request, response) => void response.end('{"versions":{"1.0.0":null}}'));
    expect(await askPackage("a", "1.0.0", { registry: server.url })).toMatchObject({ state: "gone" });
  });

  test.each(["model", "tool", "plugin"] as const)("is a page, or nothing at all, in place of a %s", async (kind) => {
    const server = await serve((request, response) =>
      request.url === "/page"
        ? response.writeHead(200, { "content-type": "Text/HTML; charset=utf-8" }).end("Please log in")
        : response.writeHead(416, { "content-range": "bytes */0" }).end(),
    );
    const upstream = new Upstream({ root, full: false, pauseMs: 1 });
    const ask = (path: string) =>
      upstream.ask({ kind, where: "x", name: "x", url: server.url + path, sha256: "" } as Thing);
    expect(await ask("/page")).toMatchObject({ state: "not known", detail: expect.stringContaining("a page") });
    expect(await ask("/empty")).toMatchObject({ state: "changed", detail: "it is empty" });
  });
});

test("the table shows no URL with its secrets, wherever it stands", () => {
  const url = "https://bob:hidden@site.test/m.pth?token=hidden";
  const things: Thing[] = [
    { kind: "address", where: "x", name: url, url },
    { kind: "commit", where: "x", name: `${url}#0123456789ab`, url, commit },
  ];
  const shown = table(things.map((thing) => ({ thing, verdict: { state: "gone", detail: `${url} lists no wheel` } })));
  expect(shown).not.toContain("hidden");
  expect(shown).toContain("https://***@site.test/m.pth?token=***");
});
