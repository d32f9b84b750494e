/**
 * A package URL: https://github.com/package-url/purl-spec
 *
 * @param path the type and what follows it up to the version, such as pypi/torch or deb/debian/libc6
 * @param qualifiers those without a value are left out
 */
export function purl(path: readonly string[], version: string, qualifiers: Record<string, string> = {}): string {
  const named = Object.entries(qualifiers).filter(([, value]) => value !== "");
  const query = named
    .map(([key, value]) => `${key}=${encode(value)}`)
    .sort()
    .join("&");
  return `pkg:${path.map(encode).join("/")}@${encode(version)}${query && `?${query}`}`;
}

/** The purl of an image. @param repository without a tag */
export function imagePurl(repository: string, digest: string, qualifiers: Record<string, string> = {}): string {
  const name = repository.slice(repository.lastIndexOf("/") + 1);
  return purl(["oci", name], digest, { repository_url: repository, ...qualifiers });
}

/** Leaves letters, digits, ".-_~" and ":" as they are. */
function encode(text: string): string {
  const escaped = (sign: string) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, escaped)
    .replaceAll("%3A", ":");
}
