import { printable } from "./redact.ts";

/** An error that a person must act on: its message is all that they need, so it is shown without a stack trace. */
export class ActionableError extends Error {
  /** What `pulumi.RunError` is recognized by, so that the engine's host shows no stack trace either. */
  readonly __pulumiRunError = true;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What kind of trouble it was; decides whether a retry, another mirror or a cached file can help. */
export type ArtifactErrorCode =
  | "pin" // the pin or the URL list is not usable
  | "mismatch" // the bytes are not those of the pin
  | "gone" // 404 or 410
  | "refused" // another status that a retry does not change
  | "unreachable" // no answer, a broken connection, or a server that is busy or ill
  | "late" // the whole transfer took longer than it may
  | "insecure" // a redirect from https to http
  | "corrupt" // the compressed stream does not decode
  | "too-large" // a limit on size was passed
  | "disk" // the cache folder cannot be written
  | "file" // a file:// URL that cannot be read
  | "setup" // a proxy, a CA bundle or a program of this machine that cannot be used
  | "internal"; // none of the above: a mistake of this program

/**
 * An expected failure, told as a phrase or a sentence for the person who must act. Its text is made printable here, once for
 * all: no control characters, and no URL with its secrets. What other libraries threw is never carried along as a cause,
 * because it may repeat a URL.
 */
export class ArtifactError extends ActionableError {
  readonly code: ArtifactErrorCode;
  /** Whether a server said so, as opposed to silence, or to trouble on this side or on the way. */
  readonly answered: boolean;
  /** Milliseconds that the server asked us to wait before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ArtifactErrorCode, message: string, options: { answered?: boolean; retryAfterMs?: number } = {}) {
    super(printable(message));
    this.code = code;
    this.answered = options.answered ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const networkTrouble: Record<string, string> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the host name could not be looked up",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "the host is unreachable",
  ENETUNREACH: "the network is unreachable",
  UND_ERR_CONNECT_TIMEOUT: "the connection timed out",
  UND_ERR_HEADERS_TIMEOUT: "the server did not answer in time",
  UND_ERR_HEADERS_OVERFLOW: "the headers of the answer are too long",
  UND_ERR_BODY_TIMEOUT: "the transfer stalled",
  UND_ERR_SOCKET: "the connection was closed in the middle of the transfer",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the body is not as long as its Content-Length",
};

const certificateTrouble = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/;

/** What an HTTP client threw; everything unknown counts as a broken connection. */
export function fromNetworkError(error: unknown): ArtifactError {
  if (error instanceof ArtifactError) {
    return error;
  }
  const code = errorCode(error);
  if (code !== undefined && certificateTrouble.test(code)) {
    const hint = "a CA of your own goes into the file that caBundle names";
    return new ArtifactError("refused", `TLS failed (${code}); ${hint}`);
  }
  const text = error instanceof Error ? error.message : String(error);
  if (code === undefined) {
    return new ArtifactError("unreachable", `the connection failed: ${text}`);
  }
  return new ArtifactError("unreachable", `${networkTrouble[code] ?? `the connection failed: ${text}`} (${code})`);
}

/** The first `code` on the error, its cause, or (where several addresses were tried) its parts. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) {
    return undefined;
  }
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown[] };
  if (typeof code === "string") {
    return code;
  }
  for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) {
    const found = errorCode(inner);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

const fileTrouble: Record<string, string> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission was denied",
  EPERM: "permission was denied",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of the path is not a folder",
  EISDIR: "a folder stands where a file belongs",
  ENOTEMPTY: "a folder stands where a file belongs",
  ENAMETOOLONG: "a name is too long",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  EFBIG: "the file system takes no file of this size",
  EIO: "the disk reported an error",
};

/** What the system said about a file, in words and with its code. */
export function fileFault(error: unknown): string {
  const code = errorCode(error);
  if (code === undefined) {
    return error instanceof Error ? error.message : String(error);
  }
  return `${fileTrouble[code] ?? "the system refused"} (${code})`;
}

/** An error of the cache's file system: names the folder and the remedy. */
export function fromDiskError(error: unknown, folder: string): ArtifactError {
  const code = errorCode(error);
  if (error instanceof ArtifactError || !isSystemError(error)) {
    return asArtifactError(error);
  }
  const remedy = code === "ENOSPC" || code === "EDQUOT" ? "make room there" : "make it writable";
  const message = `${fileFault(error)} in ${folder}; ${remedy} or set FACECRAFT_CACHE to another folder`;
  return new ArtifactError("disk", message);
}

/** Whatever was thrown, as what this engine throws: the last translation, at its edge. */
export function asArtifactError(error: unknown): ArtifactError {
  if (error instanceof ArtifactError) {
    return error;
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new ArtifactError("internal", `stopped on an error that was not foreseen (${text})`);
}

/** Whether it comes from the operating system, as opposed to a library or a mistake. */
export function isSystemError(error: unknown): boolean {
  return /^E(?!RR_)[A-Z0-9]+$/.test(errorCode(error) ?? "");
}
