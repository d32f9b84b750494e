// A query parameter is secret when its name says so: the usual API tokens and the signatures of S3, GCS and Azure URLs.
const secretName = /token|secret|passw|pwd|sig|auth|key|credential|session|jwt|^(se|sp|sv|code|ticket)$/i;

/** The URL as it may be shown and stored: user, password and secret query values replaced by `***`, fragment dropped. */
export function redactUrl(url: string): string {
  const parsed = URL.parse(url);
  // What does not parse may still hold a password: keep nothing but the scheme.
  if (parsed === null) return `${/^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0] ?? ""}*** (not a valid URL)`;
  const user = parsed.username || parsed.password ? "***@" : "";
  const query = parsed.search
    .slice(1)
    .split("&")
    .map((pair) => {
      const [name = "", value] = pair.split("=", 2);
      return value && isSecretName(name) ? `${name}=***` : pair;
    })
    .join("&");
  const origin = parsed.protocol === "file:" ? "file://" : `${parsed.protocol}//${user}${parsed.host}`;
  return `${origin}${parsed.pathname}${query ? `?${query}` : ""}`;
}

/** Whether the URL holds something that redactUrl would hide. */
export function hasSecret(url: string): boolean {
  const parsed = URL.parse(url);
  if (parsed === null) return false;
  if (parsed.username || parsed.password) return true;
  return [...parsed.searchParams].some(([name, value]) => value !== "" && isSecretName(name));
}

function isSecretName(name: string): boolean {
  const plain = URL.parse(`http://h/?${name}`)?.searchParams.keys().next().value ?? name;
  return secretName.test(plain);
}
