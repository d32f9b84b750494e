import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { run } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { dockerLogin } from "../../registry/login.ts";
import { Repository } from "../../registry/repository.ts";
import { serve, sha256, temporaryFolder } from "./server.ts";

afterEach(() => void vi.unstubAllEnvs());

/** Makes a config file of Docker's the user's own. @returns its path */
function config(content: object | string): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "config.json"), typeof content === "string" ? content : JSON.stringify(content));
  vi.stubEnv("DOCKER_CONFIG", folder);
  return join(folder, "config.json");
}

/** Puts a credential helper called "test" on the PATH. */
function helper(script: string): void {
  const folder = temporaryFolder();
  const file = join(folder, "docker-credential-test");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  vi.stubEnv("PATH", [folder, process.env.PATH].join(delimiter));
}

const auth = Buffer.from("user:päss:word").toString("base64");
const login = { username: "user", password: "päss:word" };

describe("the user's docker login", () => {
  // A user id that the system's list lacks and that has no HOME, as containers have them.
  test.skipIf(process.getuid?.() !== 0)(
    "is none where the user has no home, and neither is a builder of buildx",
    async () => {
      const asks = `
      const { dockerLogin } = await import("./registry/login.ts");
      const { builderFault } = await import("./plan/builder.ts");
      for (const name of ["HOME", "DOCKER_CONFIG", "BUILDX_CONFIG"]) delete process.env[name];
      process.setuid(54321);
      console.log(JSON.stringify([await dockerLogin("a.example"), await builderFault("default"), await builderFault("b")]));`;
      const { code, stdout, text } = await run(process.execPath, ["--input-type=module", "-e", asks], { cwd: root });
      expect({ code, text }).toMatchObject({ code: 0 });
      expect(JSON.parse(stdout)).toEqual([{}, null, expect.stringContaining("buildx has no such builder")]);
    },
  );

  test.each([
    ["ghcr.io", "ghcr.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["ghcr.io", "https://ghcr.io/v2/"],
    ["localhost:5000", "localhost:5000"],
    ["docker.io", "https://index.docker.io/v1/"],
    ["docker.io", "docker.io"],
  ])("for %s is found under %s", async (registry, key) => {
    config({ auths: { "other.example": { auth: btoa("a:b") }, [key]: { auth } } });
    expect(await dockerLogin(registry)).toEqual({ login });
  });

  test("is none without a config file, without an entry, or with an empty one", async () => {
    vi.stubEnv("DOCKER_CONFIG", temporaryFolder());
    expect(await dockerLogin("ghcr.io")).toEqual({});
    for (const content of [{}, { auths: { "ghcr.io.example": { auth } } }, { auths: { "ghcr.io": {} } }]) {
      config(content);
      expect(await dockerLogin("ghcr.io")).toEqual({});
    }
  });

  test("may be a token that buys others", async () => {
    config({ auths: { "ghcr.io": { auth: btoa("00000000:"), identitytoken: "long" } } });
    expect(await dockerLogin("ghcr.io")).toEqual({ login: { identityToken: "long" } });
  });

  test("in a file that is no JSON, or no file, is a trouble that names it", async () => {
    const file = config("{ auths");
    expect(await dockerLogin("ghcr.io")).toEqual({ trouble: `${file} cannot be read` });
    const folder = temporaryFolder();
    mkdirSync(join(folder, "config.json"));
    vi.stubEnv("DOCKER_CONFIG", folder);
    expect(await dockerLogin("ghcr.io")).toEqual({ trouble: `${join(folder, "config.json")} cannot be read` });
  });
});

describe("a credential helper", () => {
  test("is asked for the registry by its key, and its own goes before the general one", async () => {
    const answer = `printf '{"Username":"%s","Secret":"päss:word"}' "$(cat)"`;
    helper(`[ "$1" = get ] && ${answer}`);
    config({ credHelpers: { "ghcr.io": "test" }, credsStore: "missing", auths: { "ghcr.io": { auth } } });
    expect(await dockerLogin("ghcr.io")).toEqual({ login: { ...login, username: "ghcr.io" } });
    config({ credsStore: "test" });
    expect(await dockerLogin("docker.io")).toEqual({ login: { ...login, username: "https://index.docker.io/v1/" } });
  });

  test("may give a token that buys others", async () => {
    helper(`echo '{"Username":"<token>","Secret":"long"}'`);
    config({ credsStore: "test" });
    expect(await dockerLogin("ghcr.io")).toEqual({ login: { identityToken: "long" } });
  });

  test("that knows no login is no trouble", async () => {
    helper("echo credentials not found in native keychain; exit 1");
    config({ credsStore: "test" });
    expect(await dockerLogin("ghcr.io")).toEqual({});
  });

  test.each(["echo s3cret; exit 1", "echo s3cret", "kill -9 $$", "cat >/dev/null; echo '{}' | cut -c 2-"])(
    "that fails (%s) is named, and what it printed is not",
    async (script) => {
      helper(script);
      config({ credsStore: "test" });
      expect(await dockerLogin("ghcr.io")).toEqual({ trouble: "docker-credential-test gave no login" });
    },
  );

  test("that is missing is named", async () => {
    config({ credHelpers: { "ghcr.io": "nowhere" } });
    expect(await dockerLogin("ghcr.io")).toEqual({ trouble: "docker-credential-nowhere gave no login" });
  });
});

describe("a registry that asks for a login", () => {
  test("gets the one for its own name, and is told by what the login failed", async () => {
    const host = await serve((request, response) => {
      const known = request.headers.authorization === `Basic ${auth}`;
      response.writeHead(known ? 200 : 401, { "www-authenticate": "Basic" }).end("{}");
    });
    config({ auths: { [host]: { auth } } });
    expect((await new Repository(`${host}/facecraft`).manifest("cpu")).digest).toBe(sha256("{}"));
    config({ credsStore: "nowhere" });
    await expect(new Repository(`${host}/facecraft`).manifest("cpu")).rejects.toThrow(
      `http://${host}/v2/facecraft/manifests/cpu answered 401 Unauthorized; docker-credential-nowhere gave no login; log in with \`docker login ${host}\`.`,
    );
  });

  test("is bought a token with the token that a login left", async () => {
    const asked: string[] = [];
    const tokens = await serve(async (request, response) => {
      let form = "";
      for await (const piece of request) {
        form += piece;
      }
      asked.push(`${request.method} ${request.headers.authorization} ${form}`);
      response.end(JSON.stringify({ access_token: "short" }));
    });
    const host = await serve((request, response) => {
      const known = request.headers.authorization === "Bearer short";
      const challenge = `Bearer realm="http://${tokens}/",service="r"`;
      response.writeHead(known ? 200 : 401, { "www-authenticate": challenge }).end("{}");
    });
    config({ auths: { [host]: { identitytoken: "long" } } });
    await new Repository(`${host}/facecraft`).manifest("cpu");
    const form = "grant_type=refresh_token&refresh_token=long&client_id=facecraft-images";
    expect(asked).toEqual([`POST undefined ${form}&service=r&scope=repository%3Afacecraft%3Apull`]);
  });
});
