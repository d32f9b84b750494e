import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { ArtifactError } from "./errors.ts";
import { redactUrl } from "./redact.ts";

/**
 * A URL that cannot be printed with its secrets: every way to turn it into text gives the redacted form, and only
 * `revealed` the other.
 */
export class SourceUrl {
  readonly #url: URL;
  readonly #shown: string;
  readonly #token: string | undefined;

  private constructor(url: URL, token?: string) {
    this.#url = url;
    this.#token = token;
    this.#shown = redactUrl(url.href);
  }

  /** @throws ArtifactError for a text that is no URL. */
  static parse(text: string): SourceUrl {
    const url = URL.parse(text);
    if (url === null) {
      throw new ArtifactError("pin", `"${redactUrl(text)}" cannot be read as a URL`);
    }
    return new SourceUrl(url);
  }

  /**
   * One of several mirrors; a token is for the host of the first one, and not by http where that one is by https.
   * @throws ArtifactError for a text that is no URL.
   */
  static mirror(text: string, all: readonly string[], token: string | undefined): SourceUrl {
    const first = URL.parse(all[0] ?? "");
    const url = SourceUrl.parse(text);
    const trusted = url.#url.host === first?.host && (url.protocol === "https:" || first.protocol === "http:");
    return token !== undefined && trusted ? new SourceUrl(url.#url, token) : url;
  }

  get protocol(): string {
    return this.#url.protocol;
  }

  get origin(): string {
    return this.#url.origin;
  }

  /** Of the path, in lower case and with its dot: `.bz2`. Empty where there is none. */
  get suffix(): string {
    return /\.[a-z0-9]+$/i.exec(this.#url.pathname)?.[0].toLowerCase() ?? "";
  }

  /** Where a Location header leads from here; undefined when it leads nowhere. */
  resolve(location: string | undefined): SourceUrl | undefined {
    const url = location ? URL.parse(location, this.#url.href) : null;
    return url === null ? undefined : new SourceUrl(url);
  }

  /** The path of a file:// URL. @throws ArtifactError when it names none. */
  path(): string {
    try {
      const path = fileURLToPath(this.#url);
      if (!path.includes("\0")) {
        return path;
      }
    } catch {
      // What Node throws repeats the URL.
    }
    throw new ArtifactError("file", "the path holds %2F, %00 or bytes that are not UTF-8, so it names no file");
  }

  /** The URL as a server must get it, secrets and all; its user goes into a header. Only for the request itself. */
  revealed(): { url: URL; authorization?: string } {
    const url = new URL(this.#url);
    const { username, password } = url;
    url.username = "";
    url.password = "";
    if (this.#token !== undefined) {
      return { url, authorization: `Bearer ${this.#token}` };
    }
    if (!username && !password) {
      return { url };
    }
    const pair = Buffer.from(`${decode(username)}:${decode(password)}`);
    return { url, authorization: `Basic ${pair.toString("base64")}` };
  }

  toString(): string {
    return this.#shown;
  }

  toJSON(): string {
    return this.#shown;
  }

  [inspect.custom](): string {
    return this.#shown;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A bare "%" is taken as it is written.
  }
}
