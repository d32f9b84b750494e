import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { output, which } from "./exec.ts";
import { local, paths } from "./paths.ts";
import { replaceText } from "./replaceText.ts";
import { Failure } from "./say.ts";
import { trustedCas } from "./trust.ts";

export interface Certificate {
  /** The throw-away CA, PEM file. */
  ca: string;
  certificate: string;
  key: string;
  /** The CAs that this machine trusts, and the throw-away CA. */
  bundle: string;
}

/**
 * The certificate of the local registry, from a CA that nobody else trusts and whose key is not kept. TLS, because the
 * docker-build provider speaks nothing else when it refreshes and deletes: with plain HTTP, drift would stay unseen.
 */
export async function certificate(): Promise<Certificate> {
  const file = (name: string) => join(paths.tls, name);
  if (!existsSync(paths.tls)) {
    if (!which("openssl")) {
      throw new Failure(
        "openssl is missing; it makes the local registry's certificate. Install it and run this again.",
      );
    }
    await mkdir(local, { recursive: true });
    const fresh = await mkdtemp(`${paths.tls}.new-`);
    const openssl = (...args: string[]) => output("openssl", args, { cwd: fresh });
    // The LibreSSL of macOS knows -noenc by its older name only.
    const elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    await openssl(
      "req",
      "-x509",
      ...elliptic,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-days",
      "3650",
      "-subj",
      "/CN=Facecraft local CA",
    );
    await openssl("req", ...elliptic, "-keyout", "registry.key", "-out", "registry.csr", "-subj", "/CN=localhost");
    await writeFile(join(fresh, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "names"];
    await openssl("x509", "-req", "-in", "registry.csr", ...signing, "-out", "registry.pem");
    for (const name of ["ca.key", "registry.csr", "names", "ca.srl"]) {
      await rm(join(fresh, name), { force: true });
    }
    await rename(fresh, paths.tls);
  }
  written ??= writeTrusted();
  await written;
  return {
    ca: file("ca.pem"),
    certificate: file("registry.pem"),
    key: file("registry.key"),
    bundle: file("bundle.pem"),
  };
}

let written: Promise<void> | undefined;

/**
 * Writes down what this machine trusts, for builds, and with the throw-away CA, for the engine and its plugins: it may have
 * changed since the last time. A process that runs in the local stacks' own environment is told of the second file in place
 * of the system's store, so it leaves both as they are.
 */
async function writeTrusted(): Promise<void> {
  const made = existsSync(paths.trustedCas) && existsSync(paths.caBundle);
  if (made && process.env.SSL_CERT_FILE === paths.caBundle) {
    return;
  }
  const trusted = trustedCas();
  await replace(paths.trustedCas, trusted);
  await replace(paths.caBundle, trusted + readFileSync(join(paths.tls, "ca.pem"), "utf8"));
}

async function replace(path: string, text: string): Promise<void> {
  if (existsSync(path) && readFileSync(path, "utf8") === text) {
    return;
  }
  await replaceText(path, text);
}
