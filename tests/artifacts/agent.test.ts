import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { agentFor } from "../../artifacts/agent.ts";
import { ArtifactError } from "../../artifacts/errors.ts";
import { temporaryFolder } from "./server.ts";

const idleTimeoutMs = 1000;
const [http, https] = [new URL("http://models.example/a"), new URL("https://models.example/a")];

beforeEach(() => {
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toUpperCase(), undefined);
  }
});
afterEach(() => void vi.unstubAllEnvs());

function refusal(work: () => unknown): ArtifactError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ArtifactError);
    return error as ArtifactError;
  }
  return expect.unreachable("it was accepted");
}

test("the same settings share one agent, so that connections are reused", () => {
  expect(agentFor({ idleTimeoutMs }, http)).toBe(agentFor({ idleTimeoutMs }, new URL("http://other.example/")));
  expect(agentFor({ idleTimeoutMs }, http)).not.toBe(agentFor({ idleTimeoutMs: 5 }, http));
});

describe("a proxy of the environment", () => {
  test.each([
    "http://bob:hidden@:bad:port",
    "http://bob:hidden@host:99999",
    "ftp://bob:hidden@host:21",
    "bob:hidden@host:port",
    "http://bob:hidden%@host:1",
    "http://",
    "://bob:hidden@host",
  ])("that cannot be used (%s) is one sentence without its password", (proxy) => {
    vi.stubEnv("HTTP_PROXY", proxy);
    for (const url of [http, https]) {
      const error = refusal(() => agentFor({ idleTimeoutMs }, url));
      expect(error.code).toBe("setup");
      expect(error.message).toMatch(/^the proxy .* that HTTP_PROXY names cannot be used; give http:\/\/host:port/);
      expect([error.message, String(error.cause), error.stack].join()).not.toContain("hidden");
    }
  });

  test("is only asked about where it would be used", () => {
    vi.stubEnv("https_proxy", "nonsense://host");
    expect(() => agentFor({ idleTimeoutMs }, http)).not.toThrow();
    expect(refusal(() => agentFor({ idleTimeoutMs }, https)).message).toContain("that https_proxy names");
  });

  test.each(["proxy.example:3128", "bob:hidden@proxy.example:3128", "socks5://proxy.example:1080", ""])(
    "may be written %j",
    (proxy) => {
      vi.stubEnv("http_proxy", proxy);
      expect(() => agentFor({ idleTimeoutMs }, https)).not.toThrow();
    },
  );
});

describe("a CA bundle", () => {
  test.each([5, "", null, {}, [[]]])("that is no path (%j) is refused", (caBundle) => {
    const error = refusal(() => agentFor({ caBundle: caBundle as string, idleTimeoutMs }, https));
    expect(error.message).toBe(`the CA bundle is ${JSON.stringify(caBundle)}, but must be the path of a PEM file`);
  });

  test("that is missing, no file, a pipe or no PEM is named with what is wrong", () => {
    const folder = temporaryFolder();
    const at = (name: string) => join(folder, name);
    mkdirSync(at("folder"));
    execFileSync("mkfifo", [at("pipe")]);
    writeFileSync(at("text"), "not a certificate");
    writeFileSync(at("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const wrong = {
      missing: "cannot be read (ENOENT)",
      folder: "is not a file",
      pipe: "is not a file",
      text: "holds no PEM certificate",
      broken: "holds no PEM certificate",
    };
    for (const [name, what] of Object.entries(wrong)) {
      for (const url of [http, https]) {
        const error = refusal(() => agentFor({ caBundle: at(name), idleTimeoutMs }, url));
        expect(error.message).toBe(`the CA bundle ${at(name)} ${what}`);
      }
    }
  });

  test("in SSL_CERT_FILE that is stale, a pipe or broken is left to the server that needs it", () => {
    const folder = temporaryFolder();
    execFileSync("mkfifo", [join(folder, "pipe")]);
    writeFileSync(join(folder, "text"), "not a certificate");
    for (const name of ["missing", "pipe", "text"]) {
      vi.stubEnv("SSL_CERT_FILE", join(folder, name));
      expect(() => agentFor({ idleTimeoutMs }, https)).not.toThrow();
    }
  });
});
