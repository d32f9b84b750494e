import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import { Clone } from "./harness.ts";

const clones: Partial<Record<"cpu" | "gpu", Clone>> = {};

beforeAll(async () => {
  clones.cpu = await Clone.make("local");
  clones.gpu = await Clone.make("local-gpu");
});
afterAll(() => {
  clones.cpu?.remove();
  clones.gpu?.remove();
});

test.each([
  ["cpu", "2.0.1+cpu None cpu"],
  ["gpu", "2.0.1+cu118 11.8 cuda"],
] as const)(
  "the published %s image has the torch of its variant, and its models hash to the outputs",
  async (variant, torch) => {
    const clone = clones[variant] as Clone;
    const up = await clone.up();
    expect(up).toSucceed();
    expect(up.text).toContain("10 created");
    const { imageRef, models, labels } = await clone.outputs();

    const files = Object.values(models).map(({ file, sha256 }) => `${sha256}  ${file}`);
    const said = await runInImage(imageRef, [
      "python -c \"import os, torch; print(torch.__version__, torch.version.cuda, os.environ['FACECRAFT_DEVICE'])\"",
      `printf '%s\\n' '${files.join("' '")}' | sha256sum -c`,
      "id -u",
    ]);

    expect(said.split("\n")).toEqual([torch, ...Object.values(models).map(({ file }) => `${file}: OK`), "1000"]);
    expect(labels["org.opencontainers.image.description"]).toMatch(variant === "gpu" ? /GPU/ : /CPU/);
  },
);

/** Runs commands in a published image, pulled from the registry by its digest, and returns what they print. */
async function runInImage(imageRef: string, commands: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-run-"));
  try {
    const step = ["RUN --network=none <<'EOF'", "set -e", `{ ${commands.join(" && ")}; } > /tmp/said`, "EOF"];
    const dockerfile = [`FROM ${imageRef} AS run`, ...step, "FROM scratch", "COPY --from=run /tmp/said /said", ""];
    writeFileSync(join(folder, "Dockerfile"), dockerfile.join("\n"));
    const buildctl = ["--addr", `unix://${paths.buildkitSocket}`, "build", "--frontend", "dockerfile.v0"];
    const where = [
      "--local",
      `context=${folder}`,
      "--local",
      `dockerfile=${folder}`,
      "--output",
      `type=local,dest=${folder}/out`,
    ];
    await output("buildctl", [...buildctl, ...where], { env: await localEnvironment() });
    return readFileSync(join(folder, "out/said"), "utf8").trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
