import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { getCACertificates, rootCertificates } from "node:tls";

// Where systems keep what they trust in one file: Debian and Alpine, Fedora and its kin, openSUSE, others.
const files = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Every CA that this machine trusts, as PEM: the system's store, or what SSL_CERT_FILE and SSL_CERT_DIR name in its place,
 * as for OpenSSL; and what NODE_EXTRA_CA_CERTS adds to it.
 *
 * @param env for the variables
 * @param system where the system's own store is looked for
 */
export function trustedCas(env: NodeJS.ProcessEnv = process.env, system: readonly string[] = files): string {
  const named = certificatesIn(env.SSL_CERT_FILE);
  const inFolders = named.length > 0 ? [] : (env.SSL_CERT_DIR ?? "").split(delimiter).flatMap(certificatesOf);
  const trusted = named.length > 0 || inFolders.length > 0 ? [...named, ...inFolders] : systemCas(system);
  const all = new Set([...trusted, ...certificatesIn(env.NODE_EXTRA_CA_CERTS)]);
  return `${[...all].join("\n")}\n`;
}

function systemCas(files: readonly string[]): readonly string[] {
  const found = files.map(certificatesIn).find((cas) => cas.length > 0);
  if (found !== undefined) {
    return found;
  }
  // macOS and Windows keep them elsewhere, and Node.js knows where.
  const asked = getCACertificates("system");
  return asked.length > 0 ? asked.map((pem) => pem.trim()) : rootCertificates;
}

function certificatesIn(file: string | undefined): string[] {
  try {
    return file ? (readFileSync(file, "utf8").match(certificate) ?? []) : [];
  } catch {
    return [];
  }
}

function certificatesOf(folder: string): string[] {
  if (!folder || !existsSync(folder)) {
    return [];
  }
  const paths = readdirSync(folder).map((name) => join(folder, name));
  return paths
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile())
    .sort()
    .flatMap(certificatesIn);
}
