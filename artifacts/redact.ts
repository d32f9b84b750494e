// Shown is only what is known to be harmless: scheme, host and path, and those query values whose name and shape are listed
// here. Everything else may be a secret and is `***`.
const version = /^v?\d+(\.\d+)*([-+.][A-Za-z0-9]{1,12})?$|^[0-9a-f]{7,64}$|^(main|master|latest|HEAD)$/;
const truth = /^(0|1|true|false|yes|no)?$/i;
const date = /^\d{4}-?\d{2}-?\d{2}(T[\d:]{4,8}Z?)?$/;
const number = /^\d{1,12}$/;
const fileName = /^[\w./-]{1,200}\.(pth|pt|onnx|dat|bin|safetensors|bz2|gz|xz|zst)$/i;
const digest = /^([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})$/i;

const harmless: Readonly<Record<string, RegExp>> = {
  v: version,
  ver: version,
  version: version,
  rev: version,
  ref: version,
  commit: version,
  tag: version,
  raw: truth,
  dl: truth,
  download: truth,
  inline: truth,
  alt: /^media$/,
  export: /^download$/,
  file: fileName,
  filename: fileName,
  path: fileName,
  expires: number,
  "x-amz-algorithm": /^AWS4-HMAC-SHA256$/,
  "x-amz-date": date,
  "x-amz-expires": number,
  "x-amz-signedheaders": /^[a-z;-]+$/,
  "x-goog-algorithm": /^GOOG4-RSA-SHA256$/,
  "x-goog-date": date,
  "x-goog-expires": number,
  "x-goog-signedheaders": /^[a-z;-]+$/,
  sha256: digest,
  md5: digest,
};

// Names that may be shown, because it helps to see which secret it is. Any other name may itself be one.
const knownName =
  /^(x-(amz|goog)-(signature|credential|security-token)|((access|api|auth|client|id|private|refresh|session)[-_]?)?(token|key|secret)|sig|signature|pass(word|wd|phrase)?|pwd|pw|auth|authorization|bearer|sas|cred(ential)?s?|assertion|session|jwt|code|ticket|awsaccesskeyid|key-pair-id|policy)$/i;

const hidden = "***";

/** The URL as it may be shown and stored. What is no URL may hold a password anywhere: nothing of it is shown. */
export function redactUrl(url: string): string {
  const parsed = hierarchical(url);
  if (parsed === null) {
    return `${hidden} (not a valid URL)`;
  }
  const user = parsed.username || parsed.password ? `${hidden}@` : "";
  const query = pairs(parsed.search.slice(1));
  const origin = parsed.protocol === "file:" ? "file://" : `${parsed.protocol}//${user}${parsed.host}`;
  return `${origin}${redactPath(parsed.pathname)}${query && `?${query}`}`;
}

/** Whether redactUrl would hide something of the text; of text that is no URL, whether it looks as if it held a credential. */
export function hasSecret(text: string): boolean {
  const parsed = hierarchical(text);
  if (parsed === null) {
    return looksLikeCredentials(text);
  }
  // A fragment is never sent and never shown: a commit or an anchor, unless it says `name=value`.
  const fragment = parsed.hash.slice(1);
  const plain = new URL(parsed.href);
  plain.hash = "";
  return redactUrl(text) !== plain.href.replace(/\?$/, "") || (fragment.includes("=") && pairs(fragment) !== fragment);
}

/**
 * Text of any origin as it may stand in a message: without control characters, which a terminal would obey, and with the
 * URLs in it redacted.
 */
export function printable(text: string): string {
  // The controls of ASCII and Latin-1, and the marks that reverse the direction of writing.
  const plain = text.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu, " ");
  return plain.replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>]+/gi, (found) => {
    const url = found.replace(/[).,:;!?]+$/, "");
    if (!hasSecret(url)) {
      return found;
    }
    return redactUrl(url) + found.slice(url.length);
  });
}

/** A value of a file or a setting as it may be quoted: a URL redacted, a hash, a version or an image with a digest as it is. */
export function quotable(value: string): string {
  if (value.includes("://")) {
    return `"${redactUrl(value)}"`;
  }
  const plain = /^[0-9a-f]*$/i.test(value) || version.test(value) || value === "none" || /^\$\{?\w+\}?$/.test(value);
  return plain || /^[\w./:-]+@sha256:[0-9a-f]{64}$/.test(value) ? `"${value}"` : `"${hidden}"`;
}

/** Two values that should be one, quoted, each after who has it. */
export function quotedPair(one: string, other: string, owners: readonly [string, string] = ["", ""]): string {
  const quoted = [quotable(one), quotable(other)];
  const text = `${owners[0]}${quoted[0]} and ${owners[1]}${quoted[1]}`;
  return quoted[0] === quoted[1] ? `${text}, which differ in what is not shown` : text;
}

/** Parses what has an authority or a path, not `bob:word@host`, whose "scheme" is a user. */
function hierarchical(text: string): URL | null {
  const parsed = URL.parse(text);
  return parsed !== null && (/^(https?|file|ftp):$/.test(parsed.protocol) || /^[^:]+:\/\//.test(text.trim()))
    ? parsed
    : null;
}

function pair(text: string): string {
  if (text === "") {
    return text;
  }
  const at = text.indexOf("=");
  const [name, value] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
  const shape = Object.hasOwn(harmless, name.toLowerCase()) ? harmless[name.toLowerCase()] : undefined;
  if (shape?.test(decoded(value ?? ""))) {
    return text;
  }
  if (value !== undefined && (shape !== undefined || knownName.test(name))) {
    return `${name}=${hidden}`;
  }
  return hidden;
}

function pairs(text: string): string {
  return text.split("&").map(pair).join("&");
}

/** A path stays as it is, but for parameters (`;token=x`), settings (`token=x`) and URLs with a user in it. */
function redactPath(path: string): string {
  return path
    .replace(/(?<=\/)\/[^/]*@(?=[^/])/g, `/${hidden}@`)
    .split("/")
    .map((segment) => {
      const [head = "", ...parameters] = segment.split(";");
      return [redactSegment(head), ...parameters.map(pair)].join(";");
    })
    .join("/");
}

function redactSegment(segment: string): string {
  const plain = decoded(segment);
  if (/:[^/]*@(?!sha\d+:)/.test(plain) || /[?;]/.test(plain)) {
    return segment.includes("%") ? hidden : segment.replace(/^.*@/, `${hidden}@`);
  }
  return plain.includes("=") && !/^[a-z]{1,8}=\d{1,8}$/i.test(plain) ? pair(segment) : segment;
}

function looksLikeCredentials(text: string): boolean {
  if (/\s/.test(text.trim())) {
    return false;
  }
  const query = text.split("?", 2)[1] ?? "";
  return /^(?!mailto:)[^/@:]*:[^/@]+@(?!sha\d+:)/.test(text) || (query.includes("=") && pairs(query) !== query);
}

/** Decoded as often as it was encoded. */
function decoded(text: string): string {
  try {
    const plain = decodeURIComponent(text);
    return plain === text ? text : decoded(plain);
  } catch {
    return text;
  }
}
