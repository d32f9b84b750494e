/** What kind of trouble it was; decides whether a retry, another mirror or a cached file can help. */
export type ArtifactErrorCode =
  | "pin" // the pin or the URL list is not usable
  | "mismatch" // the bytes are not those of the pin
  | "gone" // 404 or 410
  | "refused" // another status that a retry does not change
  | "unreachable" // no answer, a broken connection, or a server that is busy or ill
  | "insecure" // a redirect from https to http
  | "corrupt" // the compressed stream does not decode
  | "too-large" // a limit on size was passed
  | "disk" // the cache folder cannot be written
  | "file"; // a file:// URL or a CA bundle that cannot be read

/** An expected failure, told as a phrase or a sentence for the person who must act; never holds a secret. */
export class ArtifactError extends Error {
  readonly code: ArtifactErrorCode;
  /** Milliseconds that the server asked us to wait before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ArtifactErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "ArtifactError";
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const wording: Record<string, string> = {
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
  UND_ERR_BODY_TIMEOUT: "the transfer stalled",
  UND_ERR_SOCKET: "the connection was closed in the middle of the transfer",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the body is not as long as its Content-Length",
};

const certificateTrouble = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/;

/** Turns what an HTTP client throws into an ArtifactError; everything unknown counts as a broken connection. */
export function fromNetworkError(error: unknown): ArtifactError {
  if (error instanceof ArtifactError) return error;
  const code = errorCode(error);
  if (code !== undefined && certificateTrouble.test(code)) {
    const hint = "a CA of your own goes into the file that caBundle names";
    return new ArtifactError("refused", `TLS failed (${code}); ${hint}`, { cause: error });
  }
  const text = error instanceof Error ? error.message : String(error);
  const said = code === undefined ? text : wording[code];
  return new ArtifactError("unreachable", said ? `${said}${code ? ` (${code})` : ""}` : text || String(code), {
    cause: error,
  });
}

/** The first `code` on the error, its cause, or (where several addresses were tried) its parts. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown[] };
  if (typeof code === "string") return code;
  for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) {
    const found = errorCode(inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

const diskTrouble: Record<string, string> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission was denied",
  EPERM: "permission was denied",
  ENOTDIR: "a part of the path is not a folder",
  EMFILE: "too many files are open",
  EIO: "the disk reported an error",
};

/** Names the folder and the remedy for an error of the cache's file system; anything else is passed through. */
export function fromDiskError(error: unknown, folder: string): unknown {
  const code = errorCode(error);
  if (error instanceof ArtifactError || code === undefined || !/^E(?!RR_)[A-Z0-9]+$/.test(code)) return error;
  const said = diskTrouble[code] ?? (error as Error).message;
  const remedy = code === "ENOSPC" || code === "EDQUOT" ? "make room there" : "make it writable";
  const message = `${said} (${code}) in ${folder}; ${remedy} or set FACECRAFT_CACHE to another folder`;
  return new ArtifactError("disk", message, { cause: error });
}
