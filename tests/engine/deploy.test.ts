import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseRelease } from "../../deploy/release.ts";
import { dockerEnvironment } from "../../local/docker.ts";
import { output } from "../../local/exec.ts";
import { freePort } from "../../local/freePort.ts";
import { paths, root } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { browserPath, openBrowser, unseen } from "../chromium.ts";
import { type Result, run } from "../run.ts";
import { Clone, type Outputs } from "./harness.ts";

let clone: Clone;
let env: NodeJS.ProcessEnv;
let released: Outputs;
const ports = { staging: 0, production: 0 };

beforeAll(async () => {
  clone = await Clone.make();
  expect(await clone.up()).toSucceed();
  // Asked more often than in production, so that the test does not wait for the first check.
  const outputs = await clone.outputs();
  released = { ...outputs, healthcheck: { ...outputs.healthcheck, interval: "2s" } };
  env = await dockerEnvironment(await localEnvironment(clone.state));
  ports.staging = await freePort();
  ports.production = await freePort();
  await imageStack("good", released);
});
afterAll(async () => {
  await deploy("destroy", "staging", "good");
  await deploy("destroy", "production", "good");
  const ids = await output("docker", ["images", "--quiet", "--filter", `reference=${clone.repository}`], { env });
  await output("docker", ["image", "rm", "--force", ...new Set(ids.split("\n").filter(Boolean))], { env });
  clone?.remove();
});

/** An image stack of another project, with the documented outputs. */
async function imageStack(name: string, outputs: object): Promise<void> {
  const folder = join(clone.state, "..", `images-${name}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "Pulumi.yaml"),
    "name: elsewhere\nmain: index.ts\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const lines = Object.entries(outputs).map(([key, value]) => `export const ${key} = ${JSON.stringify(value)};`);
  writeFileSync(join(folder, "index.ts"), `import "@pulumi/pulumi";\n${lines.join("\n")}\n`);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  await output("pulumi", ["stack", "select", "--create", name], { cwd: folder, env });
  await output("pulumi", ["up", "--yes", "--skip-preview", "--stack", name], { cwd: folder, env });
}

async function deploy(command: string, stack: "staging" | "production", from: string, extra = ""): Promise<Result> {
  const folder = join(clone.folder, "deploy/compose");
  const config = join(clone.state, "..", `deploy-${stack}.yaml`);
  const project = clone.repository.split("/")[1];
  writeFileSync(
    config,
    `config:
  facecraft-deploy:from: ${from.includes("/") ? from : `organization/elsewhere/${from}`}
  facecraft-deploy:project: ${project}-${stack}
  facecraft-deploy:port: ${ports[stack]}
  facecraft-deploy:readyWithin: ${from === "sick" ? 25 : 240}
${extra}`,
  );
  await output("pulumi", ["stack", "select", "--create", stack], { cwd: folder, env });
  const unattended = command === "preview" ? [] : ["--yes", "--skip-preview"];
  const args = ["--stack", stack, "--config-file", config, "--non-interactive", "--suppress-progress"];
  return run(["pulumi", command, ...args, ...unattended], folder, env);
}

async function status(port: number): Promise<number> {
  return fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(15_000) }).then(
    (response) => response.status,
    () => 0,
  );
}

async function runningImage(stack: string): Promise<string> {
  const filter = `label=com.docker.compose.project=${clone.repository.split("/")[1]}-${stack}`;
  return (await output("docker", ["ps", "--filter", filter, "--format", "{{.Image}}"], { env })).trim();
}

describe("a deploy stack", () => {
  test("runs the release of an image stack, pinned by digest and read-only, and is left alone by a second up", async () => {
    const up = await deploy("up", "staging", "good");
    expect(up.text).toContain(released.digest);
    expect(up).toSucceed();
    expect(await status(ports.staging)).toBe(200);
    expect(await runningImage("staging")).toBe(released.tags[1]);

    const [id] = (await output("docker", ["ps", "-q", "--filter", `publish=${ports.staging}`], { env })).split("\n");
    const [container] = JSON.parse(await output("docker", ["inspect", id as string], { env }));
    expect(container.HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ["ALL"], Memory: 4 * 2 ** 30 });
    expect(container.State.Health.Status).toBe("healthy");

    const compiled = async (folder: string) => {
      const list = `cd ${folder} && find . -name '*.nb[ci]' | sort | xargs sha256sum`;
      return output("docker", ["exec", id as string, "sh", "-c", list], { env });
    };
    const warm = await compiled("/usr/share/facecraft/numba");
    expect(warm.split("\n").length, "what numba compiles for rembg's import").toBeGreaterThan(20);
    expect(await compiled("/tmp/.cache/numba"), "numba has compiled something at the start").toBe(warm);

    const again = await deploy("up", "staging", "good");
    expect(again.text).toContain("3 unchanged");
  });

  test("refuses what is no portrait, with a sentence", async () => {
    const answers = await Promise.all([
      post("text.png", Buffer.from("no picture")),
      post("large.png", pngOf(6000, 5000)),
      post("larger.png", pngOf(60_000, 60_000)),
      post("bytes.png", Buffer.alloc(20_000_001)),
    ]);
    expect(answers).toEqual([
      [400, "the upload is not a picture that can be decoded, such as a JPEG, PNG or WebP file"],
      [413, "the picture has 6000x5000 pixels (30.0 megapixels); at most 25 megapixels are taken"],
      [413, "the picture has more than 25 megapixels"],
      [413, "the file has 20.0 MB; at most 20 MB are taken"],
    ]);
  });

  test.skipIf(browserPath === undefined)(`has a page to try a portrait on, with the pins${unseen}`, async () => {
    const address = `http://127.0.0.1:${ports.staging}/`;
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      const asked: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      page.on("console", (message) => asked.push(`${message.type()}: ${message.text()}`));
      await page.goto(address);
      await expect.poll(() => page.locator("#service").textContent()).toBe("Ready, on the CPU");
      const list = await page.getByRole("listitem").allTextContents();
      for (const { file, sha256 } of Object.values(released.models)) {
        const shown = list.find((text) => text.includes(file));
        expect(shown).toContain(sha256);
        expect(shown).toContain("Loaded, and its bytes are those of the pin.");
      }
      await page.getByLabel("Choose a picture").setInputFiles(join(root, "docker/scripts/astronaut.png"));
      const portrait = page.getByAltText("The portrait that was made of astronaut.png");
      await portrait.waitFor();
      expect(await portrait.evaluate((image: unknown) => (image as { naturalWidth: number }).naturalWidth)).toBe(648);
      expect(asked.filter((url) => !url.startsWith(address) && !url.startsWith("blob:"))).toEqual([]);
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: join(process.env.SCREENSHOTS, "deployed.png"), fullPage: true });
      }
    } finally {
      await browser.close();
    }
  });

  test("keeps serving the old release, without a gap, when the next one never gets ready", async () => {
    await imageStack("sick", await sickRelease());
    const seen: number[] = [];
    let over = false;
    const watch = (async () => {
      while (!over) {
        seen.push(await status(ports.staging));
        await sleep(300);
      }
    })();
    const up = await deploy("up", "staging", "sick");
    over = true;
    await watch;

    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/-cpu-sick@sha256:[0-9a-f]{64} did not get healthy \(it has 25 s\)/);
    expect(up.text).toContain(`${released.imageRef} still serves.`);
    expect(up.text).toMatch(/The end of its log:\n\s+.*Uvicorn running|\/ready HTTP\/1.1" 503/);
    expect(new Set(seen)).toEqual(new Set([200]));
    expect(seen.length).toBeGreaterThan(5);
  });

  test("rolls back when the next release is put in place without a trial and does not get ready", async () => {
    const up = await deploy("up", "staging", "sick", "  facecraft-deploy:trial: false\n");
    expect(up.code).not.toBe(0);
    expect(up.text).toContain(`Rolled back: ${released.imageRef} serves again`);
    expect(await status(ports.staging)).toBe(200);
    expect(await runningImage("staging")).toBe(released.tags[1]);
  });

  test("is promoted by a config line: another deploy stack takes over what this one has proven", async () => {
    const up = await deploy("up", "production", "organization/facecraft-deploy/staging");
    expect(up).toSucceed();
    expect(await status(ports.production)).toBe(200);
    const cwd = join(clone.folder, "deploy/compose");
    const args = ["stack", "output", "--json", "--stack", "production"];
    expect(JSON.parse(await output("pulumi", args, { cwd, env })).release).toEqual(
      parseRelease({ ...released }, "staging"),
    );
  });

  test("says at preview what is wrong with the outputs that it is given", async () => {
    const { digest: _, ...older } = released;
    await imageStack("older", older);
    await imageStack("loose", { ...released, imageRef: released.tags[0] });
    const missing = await deploy("preview", "production", "older");
    expect(missing.text).toContain("The stack organization/elsewhere/older has no output digest");
    const loose = await deploy("preview", "production", "loose");
    expect(loose.text).toContain(`imageRef is "${released.tags[0]}", but it must be pinned by digest`);
    expect(missing.code * loose.code).not.toBe(0);
    expect(missing.text + loose.text).not.toMatch(/^\s+at .*:\d+:\d+/m);
  });

  test("says at preview what was not proven of the release, though it is required", async () => {
    const extra = (words: string) => `  facecraft-deploy:require: [${words}]\n`;
    const lacking = await deploy("preview", "production", "good", extra("portrait, gpu"));
    expect(lacking.text).toContain(
      "The stack organization/elsewhere/good cannot be deployed: gpu is required, but it was proven on no GPU. Run `pulumi up` in " +
        "the image stack with a builder that has a GPU, and facecraft:gpuProof required, or take gpu off the list.",
    );
    expect(lacking.text).not.toContain("portrait is required");
    expect(lacking.text).not.toMatch(/^\s+at .*:\d+:\d+/m);
    const unknown = await deploy("preview", "production", "good", extra("speed"));
    expect(unknown.text).toMatch(
      /facecraft-deploy:require is \["speed"\]; it must be a list of what must have been proven/,
    );
    expect(lacking.code * unknown.code).not.toBe(0);
    expect(await deploy("preview", "production", "good", extra("boot, portrait, models, network"))).toSucceed();
  });
});

/** What the running release answers to a picture: the status, and what it says. */
async function post(name: string, bytes: Buffer<ArrayBuffer>): Promise<[number, unknown]> {
  const body = new FormData();
  body.append("file", new Blob([bytes]), name);
  const response = await fetch(`http://127.0.0.1:${ports.staging}/api/v1/process/quick`, { method: "POST", body });
  return [response.status, ((await response.json()) as { detail: unknown }).detail];
}

/** The start of a PNG of so many pixels: what says how large it is, and nothing else. */
function pngOf(width: number, height: number): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(25);
  header.writeUInt32BE(13, 0);
  header.write("IHDR", 4);
  header.writeUInt32BE(width, 8);
  header.writeUInt32BE(height, 12);
  header.set([8, 2], 16); // 8 bits of each of three colours
  header.writeUInt32BE(crc32(header.subarray(4, 21)), 21);
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    header,
    Buffer.from("00000000", "hex"),
    Buffer.from("IDAT"),
    Buffer.from("35af061e", "hex"),
  ]);
}

/** The released image, but for the place where it looks for its models. */
async function sickRelease(): Promise<Outputs> {
  const folder = join(clone.state, "..", "sick-image");
  mkdirSync(folder);
  writeFileSync(join(folder, "Dockerfile"), `FROM ${released.imageRef}\nENV FACECRAFT_MODELS_DIR=/nowhere\n`);
  const tag = `${clone.repository}:1.0.1-cpu-sick`;
  const metadata = join(folder, "metadata.json");
  await output(
    "buildctl",
    [
      ...[
        "--addr",
        `unix://${paths.buildkitSocket}`,
        "build",
        "--frontend",
        "dockerfile.v0",
        "--metadata-file",
        metadata,
      ],
      ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
      ...["--output", `type=image,name=${tag},push=true,oci-mediatypes=true`],
    ],
    { env },
  );
  const digest = JSON.parse(readFileSync(metadata, "utf8"))["containerimage.digest"] as string;
  return { ...released, digest, imageRef: `${tag}@${digest}`, version: "1.0.1" };
}
