import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, getCACertificates } from "node:tls";
import { EnvHttpProxyAgent } from "undici";
import { ArtifactError, errorCode } from "./errors.ts";
import { redactUrl } from "./redact.ts";

export interface AgentOptions {
  /** A PEM file whose certificates are trusted beside the system's. */
  caBundle?: string | undefined;
  /** Longest silence, in milliseconds, before a connection counts as stalled. */
  idleTimeoutMs: number;
}

const agents = new Map<string, EnvHttpProxyAgent>();

/**
 * The undici dispatcher for a URL: HTTP(S)_PROXY and NO_PROXY are obeyed, and trusted are Node's CAs, the system's, those of
 * SSL_CERT_FILE and those of the bundle. The same settings give the same agent, so that connections are reused.
 * @throws ArtifactError with code "setup" for a proxy or a bundle that cannot be used.
 */
export function agentFor({ caBundle, idleTimeoutMs }: AgentOptions, { protocol }: URL): EnvHttpProxyAgent {
  const proxy = proxyOf(protocol);
  const { SSL_CERT_FILE } = process.env;
  const key = JSON.stringify({ protocol, proxy, caBundle, idleTimeoutMs, SSL_CERT_FILE });
  const known = agents.get(key);
  if (known !== undefined) {
    return known;
  }
  const own = caBundle === undefined ? [] : [bundle(caBundle)];
  // Reading the CAs takes longer than many a download, so not where no TLS is spoken. One context serves all connections.
  const speaksTls = protocol === "https:" || /^https:/i.test(proxy?.url ?? "");
  const tls = speaksTls ? { secureContext: createSecureContext({ ca: [...systemCas(), ...own] }) } : {};
  const connectTimeout = Math.min(idleTimeoutMs, 15_000);
  try {
    const agent = new EnvHttpProxyAgent({
      // Empty rather than absent: what is absent, undici reads from the environment.
      httpProxy: proxy?.url ?? "",
      httpsProxy: proxy?.url ?? "",
      connect: { ...tls, timeout: connectTimeout },
      connectTimeout,
      requestTls: tls,
      proxyTls: tls,
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      allowH2: false,
    });
    agents.set(key, agent);
    return agent;
  } catch {
    // What undici throws repeats the URL with its password.
    throw unusable(proxy);
  }
}

interface Proxy {
  /** The variable that names it. */
  name: string;
  url: string;
}

/** The proxy of the environment, as undici chooses it; as for curl, "host:port" is an http proxy. */
function proxyOf(protocol: string): Proxy | undefined {
  const http = named("http_proxy") ?? named("HTTP_PROXY");
  const https = named("https_proxy") ?? named("HTTPS_PROXY");
  const chosen = protocol === "https:" && https?.url ? https : http;
  if (!chosen?.url) {
    return undefined;
  }
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(chosen.url) ? chosen.url : `http://${chosen.url}`;
  const parsed = URL.parse(url);
  if (parsed === null || !/^(https?|socks5?):$/.test(parsed.protocol)) {
    throw unusable({ name: chosen.name, url });
  }
  return { name: chosen.name, url };
}

function named(name: string): Proxy | undefined {
  const url = process.env[name]?.trim();
  return url === undefined ? undefined : { name, url };
}

function unusable(proxy: Proxy | undefined): ArtifactError {
  const shown = proxy === undefined ? "the proxy" : `the proxy ${redactUrl(proxy.url)} that ${proxy.name} names`;
  return new ArtifactError("setup", `${shown} cannot be used; give http://host:port, https://host:port or socks5://`);
}

/** Node's own and NODE_EXTRA_CA_CERTS, the system's store, and SSL_CERT_FILE, which other tools on the machine trust too. */
function systemCas(): string[] {
  const cas = new Set(getCACertificates("default"));
  try {
    for (const ca of getCACertificates("system")) {
      cas.add(ca);
    }
  } catch {
    // A store that cannot be read is not ours to judge; a server that needs it fails with a TLS error.
  }
  const file = process.env.SSL_CERT_FILE;
  try {
    if (file && statSync(file).isFile()) {
      cas.add(readFileSync(file, "utf8"));
    }
  } catch {
    // The same for a stale SSL_CERT_FILE.
  }
  return [...cas];
}

function bundle(path: unknown): string {
  if (typeof path !== "string" || path === "") {
    throw new ArtifactError("setup", `the CA bundle is ${JSON.stringify(path)}, but must be the path of a PEM file`);
  }
  const text = read(path);
  const first = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text)?.[0];
  try {
    new X509Certificate(first ?? "");
    return text;
  } catch {
    throw new ArtifactError("setup", `the CA bundle ${path} holds no PEM certificate`);
  }
}

function read(path: string): string {
  try {
    // Asked first: reading a pipe would wait for its writer for ever.
    if (statSync(path).isFile()) {
      return readFileSync(path, "utf8");
    }
  } catch (error) {
    throw new ArtifactError("setup", `the CA bundle ${path} cannot be read (${errorCode(error)})`);
  }
  throw new ArtifactError("setup", `the CA bundle ${path} is not a file`);
}
