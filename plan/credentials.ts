import { hasSecret, redactUrl } from "../artifacts/redact.ts";
import { ConfigError } from "./configReader.ts";

/** A URL that a build may be told, and what it must be sent with. */
export interface Split {
  /** Without user and password: safe in build args, plans, states and outputs. */
  url: string;
  /** The header `Authorization`, where there is a credential. */
  authorization?: string;
}

/**
 * Takes the credential out of a URL, or the one that is given beside it, a token, into a header of its own.
 *
 * @param key config key of the URL, for messages
 * @throws ConfigError for a URL that is signed in its query: what is secret there cannot be taken out of it
 */
export function splitCredential(key: string, given: string, token?: string): Split {
  const url = given.replace(/^(https?:\/\/)[^/?#]*@/i, "$1");
  if (hasSecret(url)) {
    const right =
      "a URL without a credential in its query, because a build would keep it in plain text; put a user and password before the host";
    throw new ConfigError([
      `facecraft:${key} is ${JSON.stringify(redactUrl(given))}; it must be ${right}${key.startsWith("models.") ? ", give a token beside the URL, or name a mirror on http or https that needs none" : ""}.`,
    ]);
  }
  if (token !== undefined) {
    return { url, authorization: `Bearer ${token}` };
  }
  const { username = "", password = "" } = URL.parse(given) ?? {};
  const pair = `${decoded(username)}:${decoded(password)}`;
  return url === given ? { url } : { url, authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

/**
 * The build secrets by which BuildKit authenticates its own downloads: one for each host (without its port), so models of one
 * host share a credential. A token is handed over as it stands in the config, so that the engine's log can mask it.
 *
 * @param downloads of the models, with the config keys of their URLs
 * @throws ConfigError for two credentials of one host
 */
export function downloadSecrets(downloads: readonly (Split & { key: string })[]): Record<string, string> {
  const secrets: Record<string, string> = {};
  const owners = new Map<string, string>();
  for (const { key, url, authorization } of downloads.filter((download) => download.authorization !== undefined)) {
    const { hostname } = new URL(url);
    const [, token] = /^Bearer (.*)$/s.exec(authorization as string) ?? [];
    const name = `${token === undefined ? "HTTP_AUTH_HEADER" : "HTTP_AUTH_TOKEN"}_${hostname}`;
    const owner = owners.get(hostname);
    if (owner !== undefined && secrets[name] !== (token ?? authorization)) {
      throw new ConfigError([
        `facecraft:${key} has another credential for ${hostname} than facecraft:${owner}; they must have the same, because the builder knows one for each host.`,
      ]);
    }
    owners.set(hostname, key);
    secrets[name] = token ?? (authorization as string);
  }
  return secrets;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A bare "%" is taken as it is written.
  }
}
