import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { trustedCas } from "../../local/trust.ts";
import { run } from "../run.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-tls-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A file with the certificate of a CA of its own. */
function ca(name: string, file = `${name}.pem`): string {
  const path = join(folder, file);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "/dev/null"];
  execFileSync("openssl", ["req", "-x509", ...key, "-out", path, "-subj", `/CN=${name}`], { stdio: "pipe" });
  return path;
}

const names = (pem: string) =>
  (pem.match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map((one) =>
    new X509Certificate(one).subject.replace("CN=", ""),
  );

describe("what this machine trusts", () => {
  test("is the system's store when no variable is set", () => {
    const system = ca("system");
    expect(names(trustedCas({}, [join(folder, "not-here.pem"), system]))).toEqual(["system"]);
  });

  test("is what SSL_CERT_FILE names in place of the system's store, without the comments of the file", () => {
    const named = ca("named");
    writeFileSync(named, `# the administrator's\n${readFileSync(named, "utf8")}`);
    expect(names(trustedCas({ SSL_CERT_FILE: named }, [ca("system")]))).toEqual(["named"]);
  });

  test("is the system's store when SSL_CERT_FILE names no file, or one without a certificate", () => {
    const system = [ca("system")];
    writeFileSync(join(folder, "empty.pem"), "");
    for (const file of ["gone.pem", "empty.pem", "."]) {
      expect(names(trustedCas({ SSL_CERT_FILE: join(folder, file) }, system))).toEqual(["system"]);
    }
  });

  test("can be in the folders of SSL_CERT_DIR", () => {
    mkdirSync(join(folder, "a"));
    mkdirSync(join(folder, "b"));
    ca("one", "a/one.pem");
    ca("two", "b/hash.0");
    const env = { SSL_CERT_DIR: `${join(folder, "a")}:${join(folder, "b")}:${join(folder, "gone")}` };
    expect(names(trustedCas(env, [ca("system")]))).toEqual(["one", "two"]);
  });

  test("has what NODE_EXTRA_CA_CERTS adds, and nothing twice", () => {
    const [system, extra] = [ca("system"), ca("extra")];
    writeFileSync(extra, readFileSync(system, "utf8") + readFileSync(extra, "utf8"));
    expect(names(trustedCas({ NODE_EXTRA_CA_CERTS: extra }, [system]))).toEqual(["system", "extra"]);
  });

  test("is never nothing", () => {
    expect(names(trustedCas({}, [])).length).toBeGreaterThan(rootCertificates.length / 2);
  });
});

describe("the CAs that builds and the local stacks trust", () => {
  const module = JSON.stringify(join(import.meta.dirname, "../../local/tls.ts"));
  const paths = JSON.stringify(join(import.meta.dirname, "../../local/paths.ts"));

  /** Sets up TLS in a tools folder of its own and prints who is trusted. */
  async function setUp(env: NodeJS.ProcessEnv): Promise<{ build: string[]; engine: string[] }> {
    const script = `
      const { certificate } = await import(${module});
      const { paths } = await import(${paths});
      const { readFileSync } = await import("node:fs");
      await certificate();
      console.log(JSON.stringify([paths.trustedCas, paths.caBundle].map((path) => readFileSync(path, "utf8"))));
    `;
    const own = { PATH: process.env.PATH, FACECRAFT_TOOLS: join(folder, "tools"), ...env };
    const { code, text } = await run([process.execPath, "--input-type=module", "-e", script], ".", own);
    expect(code, text).toBe(0);
    const [build, engine] = (JSON.parse(text) as string[]).map(names) as [string[], string[]];
    return { build, engine };
  }

  test("follow the machine's: a CA that is added later is trusted the next time", async () => {
    const first = ca("first");
    expect(await setUp({ SSL_CERT_FILE: first })).toEqual({
      build: ["first"],
      engine: ["first", "Facecraft local CA"],
    });
    writeFileSync(first, readFileSync(first, "utf8") + readFileSync(ca("second"), "utf8"));
    expect((await setUp({ SSL_CERT_FILE: first })).build).toEqual(["first", "second"]);
  });

  test("stay as they are in a process that runs in the local stacks' own environment", async () => {
    const expected = await setUp({ SSL_CERT_FILE: ca("named") });
    const bundle = join(folder, "tools/local/tls/bundle.pem");
    expect(await setUp({ SSL_CERT_FILE: bundle, NODE_EXTRA_CA_CERTS: bundle })).toEqual(expected);
  });
});
