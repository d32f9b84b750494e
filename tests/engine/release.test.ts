import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clone, type Outputs } from "./harness.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

/** What `git push` and an operator's mistake look like to the stack. Each test leaves a released, clean stack behind. */
describe("a release", () => {
  let outputs: Outputs;

  test("is planned in full by a preview, which pushes nothing", async () => {
    const preview = await clone.pulumi("preview");

    expect(preview).toSucceed();
    expect(preview.text).not.toContain("Skipping preview build");
    expect(preview.text).toMatch(/docker-build:index:Image +facecraft-proof +create/);
    expect(preview.text).toMatch(/10 to create/);
    expect(await clone.tags()).toEqual([]);
  });

  test("is in the registry as the outputs say", async () => {
    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).toContain("10 created");

    outputs = await clone.outputs();
    const suffix = /^(.*):1\.0\.0-cpu-([0-9a-f]{8})@(sha256:[0-9a-f]{64})$/.exec(outputs.imageRef);
    expect(suffix?.slice(1)).toEqual([clone.repository, expect.any(String), outputs.digest]);
    expect(outputs.tags).toEqual([`${clone.repository}:cpu`, `${clone.repository}:1.0.0-cpu-${suffix?.[2]}`]);
    for (const tag of await clone.tags()) {
      expect((await clone.registry("GET", `manifests/${tag}`)).digest).toBe(outputs.digest);
    }
    expect(await clone.tags()).toHaveLength(2);
    expect(outputs).toMatchObject({
      variant: "cpu",
      version: "1.0.0",
      torchIndexUrl: expect.stringMatching(/\/whl\/cpu$/),
      healthcheck: { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "180s", retries: 3 },
    });
  });

  test("carries every label, the health check and a numeric user", async () => {
    const manifest = (await clone.registry("GET", `manifests/${outputs.digest}`)).json as {
      config: { digest: string };
    };
    const { json } = await clone.registry("GET", `blobs/${manifest.config.digest}`);

    expect(json).toMatchObject({
      config: {
        User: "1000:1000",
        Labels: outputs.labels,
        ExposedPorts: { "8000/tcp": {} },
        Env: expect.arrayContaining(["HEALTHCHECK_PATH=/ready", "FACECRAFT_PORT=8000"]),
        Healthcheck: { Test: ["CMD", "healthcheck"], Interval: 30e9, Timeout: 10e9, StartPeriod: 180e9, Retries: 3 },
      },
    });
    expect(Object.keys(outputs.labels).sort()).toEqual(
      ["base.digest", "base.name", "description", "licenses", "revision", "source", "title", "vendor", "version"].map(
        (key) => `org.opencontainers.image.${key}`,
      ),
    );
    expect(outputs.labels["org.opencontainers.image.revision"]).toBe(outputs.revision);
    expect(outputs.revision).toMatch(/^[0-9a-f]{40}$/);
  });

  test("is left alone by a second up", async () => {
    const up = await clone.up();
    expect(up.text).toContain("10 unchanged");
    expect(await clone.outputs()).toEqual(outputs);
  });

  test("shows no change to a preview in another folder under another umask", async () => {
    const twin = await clone.second(0o002);
    // What reaches the build by a copy of its own: the application and the scripts of the Dockerfiles.
    for (const file of ["app/src/facecraft/main.py", "docker/scripts/boot.py"]) {
      expect(statSync(join(twin.folder, file)).mode & 0o020).not.toBe(statSync(join(clone.folder, file)).mode & 0o020);
    }
    const preview = await twin.pulumi("preview", "--expect-no-changes");
    expect(preview.text).toContain("10 unchanged");
    expect(preview).toSucceed();
  });

  test("is not made anew for a change that is not in the image", async () => {
    clone.edit("README.md", (text) => `${text}\nOne more line.\n`);
    await clone.commit("Change the documentation only");
    const preview = await clone.pulumi("preview", "--expect-no-changes");
    expect(preview.text).toContain("10 unchanged");
    expect(preview).toSucceed();
  });

  test("gets another immutable tag for a change of the application, and the old one stays", async () => {
    const before = await clone.outputs();
    clone.edit("app/src/facecraft/main.py", (text) => `${text}\n# One more line.\n`);
    const dirty = await clone.pulumi("preview");
    expect(dirty.text).toMatch(/facecraft-suffix +replace/);

    const revision = await clone.commit("Change the application");
    expect(await clone.up()).toSucceed();
    const after = await clone.outputs();
    expect(after.revision).toBe(revision);
    expect(after.digest).not.toBe(before.digest);
    expect(after.tags[1]).not.toBe(before.tags[1]);
    expect((await clone.registry("GET", `manifests/${before.digest}`)).status).toBe(200);
    expect(await clone.tags()).toHaveLength(3);
  });

  test("is restored after its image was deleted from the registry", async () => {
    const { digest } = await clone.outputs();
    expect((await clone.registry("DELETE", `manifests/${digest}`)).status).toBe(202);

    const refresh = await clone.pulumi("refresh");
    expect(refresh.text).toMatch(/docker-build:index:Image +facecraft-release +deleted/);
    const up = await clone.up();
    expect(up.text).toMatch(/docker-build:index:Image +facecraft-release +created/);
    expect((await clone.registry("GET", `manifests/${(await clone.outputs()).digest}`)).status).toBe(200);
  });

  test("is stopped by one flipped byte of a served model, and goes on when that is repaired", async () => {
    const before = await clone.outputs();
    const tags = await clone.tags();
    const file = join(clone.artifacts, "codeformer.pth");
    const original = readFileSync(file);
    const flipped = Buffer.from(original);
    flipped[4711] = (flipped[4711] as number) ^ 1;
    writeFileSync(file, flipped);

    const up = await clone.up();
    expect(up.code).not.toBe(0);
    const sentence = up.text.split("\n").find((line) => line.includes(sha256(flipped))) ?? up.text;
    expect(sentence).toContain("CodeFormer");
    expect(sentence).toContain(before.models.codeformer?.url);
    expect(sentence).toContain(before.models.codeformer?.sha256);
    expect(up.text).not.toMatch(/^\s+at .*:\d+:\d+/m);
    expect(await clone.tags()).toEqual(tags);
    expect(await clone.outputs()).toEqual(before);

    writeFileSync(file, original);
    const repaired = await clone.up();
    expect(repaired).toSucceed();
    expect(await clone.outputs()).toEqual({ ...before });
  });

  test("is stopped by one wrong digit in a pin, before anything is pushed", async () => {
    const before = await clone.outputs();
    const tags = await clone.tags();
    const pin = before.models.u2net?.sha256 as string;
    const wrong = pin.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    clone.writeConfig((text) => text.replace(pin, wrong));

    const up = await clone.up();
    expect(up.code).not.toBe(0);
    const sentence = up.text.split("\n").find((line) => line.includes(wrong) && line.includes(pin)) ?? up.text;
    expect(sentence).toMatch(/u2net human seg/);
    expect(sentence).toContain("u2net_human_seg-graph.onnx");
    expect(await clone.tags()).toEqual(tags);
    expect(await clone.outputs()).toEqual(before);

    clone.writeConfig();
    expect(await clone.up()).toSucceed();
    expect(await clone.outputs()).toEqual(before);
  });

  test("is taken back by destroy, which leaves the published image to those who run it", async () => {
    const { digest } = await clone.outputs();
    const destroy = await clone.pulumi("destroy");
    expect(destroy).toSucceed();
    expect(await clone.resources()).toEqual([]);
    expect((await clone.registry("GET", `manifests/${digest}`)).status).toBe(200);
  });
});

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
