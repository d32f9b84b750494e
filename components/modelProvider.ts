import { asArtifactError } from "../artifacts/errors.ts";
import { sha256Fault, urlFault } from "../artifacts/pins.ts";

/** What a ModelChecksum is told. */
export interface Inputs {
  title: string;
  urls: string[];
  sha256: string;
  file: string;
  token?: string;
  caBundle?: string;
}

/** What the stack remembers of it. */
export interface State extends Inputs {
  downloadSha256: string;
  sizeBytes: number;
  url: string;
  // Empty rather than absent: what a resource lacks, a preview shows as unknown.
  etag: string;
  lastModified: string;
  /** In what way upstream no longer serves the pinned file, as the last refresh found it; empty when it does. */
  drift: string;
}

/** How every sentence ends that says that upstream could not be asked. */
export const nothingKnown = "nothing is known about drift";

export interface CheckFailure {
  property: string;
  reason: string;
}

/** Refuses at preview what could not be verified. Unknown values, which only a preview has, are let through. */
export async function check(
  _olds: Partial<State>,
  news: Inputs,
): Promise<{ inputs: Inputs; failures: CheckFailure[] }> {
  const failures: CheckFailure[] = [];
  const fail = (property: string, reason: string) => failures.push({ property, reason: `${name}: ${reason}` });
  const name = typeof news.title === "string" && !isUnknown(news.title) ? news.title : "model";
  const { urls, sha256, file } = news;
  if (!isUnknown(sha256)) {
    const fault = sha256Fault(sha256);
    if (fault !== undefined) {
      fail("sha256", fault);
    }
  }
  if (!isUnknown(urls)) {
    if (!Array.isArray(urls) || urls.length === 0) {
      fail("urls", "no URL is given; give at least one https:// URL");
    } else {
      urls.forEach((url, i) => {
        const fault = isUnknown(url) ? undefined : urlFault(url);
        if (fault !== undefined) {
          fail(`urls[${i}]`, fault);
        }
      });
    }
  }
  if (!isUnknown(file) && (typeof file !== "string" || !file.startsWith("/"))) {
    fail("file", `${JSON.stringify(file)} is not the absolute path of a file in the image`);
  }
  const { caBundle } = news;
  if (caBundle !== undefined && !isUnknown(caBundle) && (typeof caBundle !== "string" || caBundle === "")) {
    fail("caBundle", `${JSON.stringify(caBundle)} is not the path of a PEM file`);
  }
  const inputs = failures.length > 0 || isUnknown(sha256) ? news : { ...news, sha256: plainHex(sha256) };
  return { inputs, failures };
}

/**
 * Compares inputs only, so a change of this code or of another machine's CA path never shows in a plan; but a file that
 * upstream replaced or removed is asked for again, and stops the release while no mirror serves the pinned one.
 */
export async function diff(_id: string, olds: State, news: Inputs): Promise<{ changes: boolean; replaces: string[] }> {
  const compared = ["title", "urls", "sha256", "file"] as const;
  const changed = compared.filter((key) => JSON.stringify(olds[key]) !== JSON.stringify(news[key]));
  return {
    changes: changed.length > 0 || Boolean(olds.drift),
    replaces: changed.filter((key) => key === "file"),
  };
}

export async function create(inputs: Inputs): Promise<{ id: string; outs: State }> {
  return { id: inputs.file, outs: await verify(inputs) };
}

export async function update(_id: string, olds: State, news: Inputs): Promise<{ outs: State }> {
  const sameFile = olds.sha256 === news.sha256 && JSON.stringify(olds.urls) === JSON.stringify(news.urls);
  return { outs: await verify(news, sameFile ? olds.drift : "") };
}

/** Refresh: asks upstream whether it still serves the pinned file. An upstream that does not answer changes nothing. */
export async function read(id: string, state: State): Promise<{ id: string; props: State }> {
  if (!state.urls || !state.sha256) {
    return { id, props: state };
  }
  const { title, urls, sha256, url, token, etag, lastModified, caBundle } = state;
  const validators = { ...(etag ? { etag } : {}), ...(lastModified ? { lastModified } : {}) };
  const { probe } = await import("../artifacts/probe.ts");
  try {
    const found = await probe({ title, urls, sha256, url, token, validators }, optionsOf(caBundle));
    if (found.unreachable !== undefined) {
      console.warn(`${found.unreachable}; ${nothingKnown}.`);
      return { id, props: state };
    }
    if (found.drift !== undefined) {
      console.warn(`${found.drift}.`);
    }
    // A re-published file with the same bytes has a new ETag: remembered, so that it is not hashed at every refresh.
    const seen = found.confirmed?.url === url ? found.confirmed : {};
    // Where a mirror still serves the pinned file, an update goes on: that is no drift.
    return { id, props: { ...state, ...seen, drift: found.confirmed ? "" : (found.drift ?? "") } };
  } catch (error) {
    console.warn(`${title}: refresh could not ask upstream: ${asArtifactError(error).message}; ${nothingKnown}.`);
    return { id, props: state };
  }
}

/**
 * Loaded when something is to be fetched: most updates only compare inputs.
 *
 * @param drift what was known before; it stays so where no mirror could be asked
 */
async function verify(inputs: Inputs, drift = ""): Promise<State> {
  const { fetchArtifact } = await import("../artifacts/fetch.ts");
  const { title, urls, sha256, file, token, caBundle } = inputs;
  const {
    downloadSha256 = "",
    sizeBytes,
    url,
    etag = "",
    lastModified = "",
    confirmed,
    ...artifact
  } = await fetchArtifact({ title, urls, sha256, token }, optionsOf(caBundle));
  return {
    title,
    urls,
    sha256: artifact.sha256,
    file,
    ...(token && { token }),
    ...(caBundle && { caBundle }),
    downloadSha256,
    sizeBytes,
    url,
    etag,
    lastModified,
    drift: confirmed ? "" : drift,
  };
}

/** What is waited for is said in the update's log, where a person looks while nothing seems to happen. */
function optionsOf(caBundle: string | undefined): { caBundle?: string; onWait: (sentence: string) => void } {
  return { ...(caBundle ? { caBundle } : {}), onWait: (sentence) => console.warn(sentence) };
}

function plainHex(sha256: string): string {
  return sha256.toLowerCase().replace(/^sha256:/, "");
}

/** The engine's placeholder for a value that is not known yet. */
function isUnknown(value: unknown): boolean {
  return value === "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
}
