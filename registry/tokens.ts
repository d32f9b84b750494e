import { RegistryError } from "./errors.ts";
import { type Answer, ask, type Patience } from "./http.ts";
import type { Login } from "./login.ts";
import { refusal } from "./refusal.ts";

/** How a registry wants to be asked: https://distribution.github.io/distribution/spec/auth/token/ */
export interface Challenge {
  realm: string;
  service?: string;
  scope?: string;
}

/** The challenge for a token in a header `www-authenticate`; undefined where a name and a password are wanted themselves. */
export function parseChallenge(header: string): Challenge | undefined {
  const rest = /(?:^|,)\s*bearer\s+(.*)$/i.exec(header)?.[1] ?? "";
  const parameters: Record<string, string> = {};
  // Another scheme may follow: it is no `name=value`, and ends the list.
  const parameter = /\s*(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/y;
  for (let match = parameter.exec(rest); match; match = parameter.exec(rest)) {
    const [, name = "", quoted, plain] = match;
    parameters[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
  }
  const { realm, service, scope } = parameters;
  return realm ? { realm, ...(service && { service }), ...(scope && { scope }) } : undefined;
}

export interface TokenRequest {
  challenge: Challenge;
  login: Login | undefined;
  /** The repository's path, which is to be read. */
  path: string;
  /** Whether the registry itself is asked without TLS. */
  plain: boolean;
  patience: Patience;
  /** What is to be said when the token is refused. */
  hint: (status: number) => string;
}

/** Gets a token from the service that a challenge names. @throws RegistryError */
export async function fetchToken(request: TokenRequest): Promise<string> {
  const { challenge, login, path, plain, patience, hint } = request;
  const url = URL.parse(challenge.realm);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RegistryError(`The token service for ${path} is said to be at no usable URL.`);
  }
  url.username = "";
  url.password = "";
  if (login && url.protocol === "http:" && !plain) {
    throw new RegistryError(`The token service ${url.host} for ${path} is not encrypted; it gets no credentials.`);
  }
  const { service } = challenge;
  const who = "The token service";
  const wanted = { ...(service && { service }), scope: challenge.scope ?? `repository:${path}:pull` };
  const answer = await (login && "identityToken" in login
    ? ask(url, { who, headers: formHeaders, form: refresh(login.identityToken, wanted), patience })
    : ask(withQuery(url, wanted), { who, headers: login ? { authorization: basic(login) } : {}, patience }));
  if (answer.status !== 200) {
    const secrets = login ? secretsOf(login) : [];
    throw await refusal(`${url.host} refused a token for ${path}:`, answer, hint(answer.status), secrets);
  }
  return tokenIn(answer, url);
}

export function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** What of a login must never be shown. */
export function secretsOf(login: Login): string[] {
  return "identityToken" in login ? [login.identityToken] : [login.password, basic(login).slice("Basic ".length)];
}

const formHeaders = { "content-type": "application/x-www-form-urlencoded" };

function refresh(token: string, wanted: Record<string, string>): URLSearchParams {
  const grant = { grant_type: "refresh_token", refresh_token: token, client_id: "facecraft-images" };
  return new URLSearchParams({ ...grant, ...wanted });
}

function withQuery(url: URL, parameters: Record<string, string>): URL {
  const full = new URL(url);
  for (const [name, value] of Object.entries(parameters)) {
    full.searchParams.set(name, value);
  }
  return full;
}

async function tokenIn(answer: Answer, { host }: URL): Promise<string> {
  const text = (await answer.start(1 << 20)).toString();
  try {
    const { token, access_token } = JSON.parse(text) as { token?: string; access_token?: string };
    if (token || access_token) {
      return token || (access_token as string);
    }
  } catch {
    // Said below.
  }
  throw new RegistryError(`The token service ${host} answered without a token.`);
}
