import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { explanations } from "../../components/imageFailure.ts";
import { serve } from "../registry/server.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-buildx-"));
  mkdirSync(join(folder, "instances"));
  const nodes = [{ Name: "b0", Endpoint: `unix://${folder}/buildkitd.sock` }];
  writeFileSync(join(folder, "instances/b"), JSON.stringify({ Name: "b", Driver: "remote", Nodes: nodes }));
  vi.stubEnv("BUILDX_CONFIG", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const repository = "localhost:2/facecraft";
const deadline = "1 error occurred:\n\t* failed to dial gRPC: context deadline exceeded";

describe("the failure of an image", () => {
  test("whose builder has ended is told so, whatever was heard of it", async () => {
    for (const error of [deadline, "rpc error: code = Unavailable desc = error reading from server: EOF"]) {
      expect(await explanations([error], { repository, builder: "b" })).toEqual([
        `facecraft:builder is "b", but no BuildKit answers at unix://${folder}/buildkitd.sock (ENOENT); start it.`,
      ]);
    }
  });

  test("is left to its own words where the builder answers, or none is named", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, "buildkitd.sock"), resolve));
    expect(await explanations([deadline], { repository, builder: "b" })).toEqual([]);
    server.close();
    expect(await explanations([deadline, "process did not complete"], { repository })).toEqual([]);
  });

  test("by a base without a digest, or another input that the policy refuses, is told in our own sentence", async () => {
    const refused = (source: string) => `failed to solve: source "${source}" not allowed by policy: action DENY`;
    expect(await explanations([refused("docker-image://docker.io/library/a:1")], { repository })).toEqual([
      expect.stringMatching(/^The base image docker\.io\/library\/a:1 has no digest\./),
    ]);
    expect(await explanations([refused("https://example.org/file")], { repository })).toEqual([
      expect.stringMatching(/^The policy beside the Dockerfile .* refuses example\.org\/file/),
    ]);
  });

  test("by a push that was refused is told with the registry's status and words", async () => {
    const body = JSON.stringify({ errors: [{ code: "DENIED", message: "not yours" }] });
    const host = await serve((request, response) => {
      response.writeHead(request.method === "POST" ? 403 : 404).end(body);
    });
    const [sentence, ...more] = await explanations(["failed to push: denied"], { repository: `${host}/a/facecraft` });
    expect(sentence).toMatch(/^The push to localhost:\d+\/a\/facecraft was refused\. .* answered 403 .*not yours/);
    expect(more).toEqual([]);
  });
});
