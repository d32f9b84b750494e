import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import spawn, { type SubprocessError } from "nano-spawn";
import { ArtifactError } from "../../artifacts/errors.ts";
import { type Glance, glance, readText } from "../../artifacts/glance.ts";
import { measure } from "../../artifacts/measure.ts";
import { formatBytes } from "../../artifacts/text.ts";
import { Repository } from "../../registry/repository.ts";
import { askPackage, npmRegistries, type Registries } from "./npm.ts";
import type { Thing } from "./things.ts";
import { changed, gone, isPassing, notKnown, there, type Verdict, verdictOf } from "./verdict.ts";

type Of<Kind extends Thing["kind"]> = Extract<Thing, { kind: Kind }>;

export interface Asking {
  root: string;
  /** Downloads and hashes the models, too. */
  full: boolean;
  /** Between two attempts, in milliseconds. */
  pauseMs: number;
}

/** Asks for things. A host that did not answer at all is not waited for again. */
export class Upstream {
  readonly #asking: Asking;
  readonly #silent = new Map<string, Verdict>();
  readonly #pages = new Map<string, Promise<string>>();
  #registries: Promise<Registries> | undefined;

  constructor(asking: Asking) {
    this.#asking = asking;
  }

  async ask(thing: Thing): Promise<Verdict> {
    const party = partyOf(thing);
    for (let attempt = 1; ; attempt++) {
      const known = this.#silent.get(party);
      if (known !== undefined) {
        return known;
      }
      try {
        return await this.#askOnce(thing);
      } catch (error) {
        const { passing, silent } = isPassing(error);
        if (passing && attempt === 1) {
          this.#pages.clear();
          await sleep(this.#asking.pauseMs);
          continue;
        }
        const verdict = verdictOf(error);
        if (silent) {
          this.#silent.set(party, verdict);
        }
        return verdict;
      }
    }
  }

  #askOnce(thing: Thing): Promise<Verdict> {
    switch (thing.kind) {
      case "base image":
        return askImage(thing);
      case "model":
        return this.#asking.full ? hashModel(thing) : askDownload(thing.url);
      case "tool":
      case "plugin":
        return askDownload(thing.url);
      case "torch index":
        return this.#askIndex(thing);
      case "action":
        return askGitHub(thing.repository, thing.ref);
      case "commit":
        return askCommit(thing);
      case "npm package":
        return this.#askPackage(thing);
      case "address":
        return glance(thing.url).then(describe);
    }
  }

  async #askPackage({ package: name, version }: Of<"npm package">): Promise<Verdict> {
    this.#registries ??= npmRegistries(this.#asking.root);
    let registries: Registries;
    try {
      registries = await this.#registries;
    } catch {
      return notKnown("npm, which says where its registry is, cannot be run");
    }
    return askPackage(name, version, registries);
  }

  async #askIndex({ index, package: name, version, python }: Of<"torch index">): Promise<Verdict> {
    const url = `${index.replace(/\/$/, "")}/${name}/`;
    let page = this.#pages.get(url);
    if (page === undefined) {
      page = readText(url, { accept: "text/html" });
      this.#pages.set(url, page);
    }
    return wheelOn(await page, { name, version, python }, url);
  }
}

/** Whose answer it is: things of one party share its silence. */
function partyOf(thing: Thing): string {
  switch (thing.kind) {
    case "base image":
      return `registry ${new Repository(thing.repository).host}`;
    case "npm package":
      return "npm";
    case "action":
      return "GitHub's API and pages";
    case "commit":
      return gitHubRepository(thing.url) === undefined ? new URL(thing.url).host : "GitHub's API and pages";
    default:
      return new URL("index" in thing ? thing.index : thing.url).host;
  }
}

/** Looks for a wheel that pip would take on linux/amd64 on a page as PEP 503 describes it. */
export function wheelOn(
  page: string,
  { name, version, python }: { name: string; version: string; python: string },
  url: string,
): Verdict {
  const files = [...page.matchAll(/href\s*=\s*["']?([^"'\s>]+)/gi)].map(([, href = ""]) => {
    const file = href.replace(/[?#].*$/, "").replace(/^.*\//, "");
    return /%[^0-9a-f]|%.?$/i.test(file) ? file : decodeURIComponent(file);
  });
  const tags = new RegExp(
    `^(?:${python}-(?:${python}|abi3)|cp3\\d*-abi3|py3-none)-(?:linux_x86_64|manylinux\\w*_x86_64|any)\\b`,
  );
  const start = `${name.replaceAll("-", "_")}-${version}-`.toLowerCase();
  const wheels = files.filter((file) => file.toLowerCase().startsWith(start) && file.endsWith(".whl"));
  const wheel = wheels.find((file) => tags.test(file.slice(start.length)));
  if (wheel !== undefined) {
    return there(wheel);
  }
  const others = wheels.length > 0 ? `, only ${wheels.length} wheels for others` : "";
  return gone(`${url} lists no wheel of it for ${python} on linux_x86_64${others}`);
}

async function askImage({ repository, tag, digest }: Of<"base image">): Promise<Verdict> {
  const registry = new Repository(repository);
  const pinned = digest && (await registry.manifest(digest));
  if (tag === undefined) {
    return there("has no tag");
  }
  const now = await registry.manifest(tag).then(
    ({ digest }) => digest,
    (error: unknown) => verdictOf(error),
  );
  if (typeof now !== "string") {
    return pinned ? there(`the tag: ${now.state}, ${now.detail}`) : now;
  }
  if (!pinned) {
    return there(`has no digest; the tag names ${now}`);
  }
  return there(now === digest ? "the tag names it" : `the tag names ${now} now`);
}

async function askDownload(url: string): Promise<Verdict> {
  const found = await glance(url);
  if (found.isPage) {
    return notKnown("its server answers with a page, perhaps of a login");
  }
  return found.sizeBytes === 0 ? changed("it is empty") : describe(found);
}

function describe({ sizeBytes, etag, lastModified }: Glance): Verdict {
  const size = sizeBytes === undefined ? "size unknown" : formatBytes(sizeBytes);
  return there([size, etag && `ETag ${etag}`, !etag && lastModified].filter(Boolean).join(", "));
}

async function hashModel({ url, sha256 }: Of<"model">): Promise<Verdict> {
  const caBundle = process.env.FACECRAFT_CA_BUNDLE || undefined;
  const found = await measure(url, { caBundle, retries: 2 });
  if (found.notModified || found.sha256 === sha256) {
    return there("it is the file of its pin");
  }
  return changed(`its sha256 is ${found.sha256}, the pin is ${sha256}${found.hint ? ` (${found.hint})` : ""}`);
}

function gitHubRepository(url: string): string | undefined {
  return /^https:\/\/github\.com\/([\w.-]+\/[\w.-]+?)(?:\.git)?\/?$/.exec(url)?.[1];
}

/** By GitHub's API; by the commit's page where the API does not tell, because it limits how often it is asked. */
async function askGitHub(repository: string, ref: string): Promise<Verdict> {
  const path = /^[0-9a-f]{40}$/.test(ref) ? `git/commits/${ref}` : `commits/${ref}`;
  const { GITHUB_TOKEN: token } = process.env;
  // In the address, so that no other host is ever given it.
  const credentials = token ? `x-access-token:${encodeURIComponent(token)}@` : "";
  try {
    await glance(`https://${credentials}api.github.com/repos/${repository}/${path}`, {
      accept: "application/vnd.github+json",
    });
  } catch (error) {
    if (error instanceof ArtifactError && error.code === "gone") {
      throw error;
    }
    await glance(`https://github.com/${repository}/commit/${ref}`);
  }
  return there("");
}

async function askCommit({ url, commit }: Of<"commit">): Promise<Verdict> {
  const repository = gitHubRepository(url);
  if (repository !== undefined) {
    return askGitHub(repository, commit);
  }
  const folder = await mkdtemp(join(tmpdir(), "facecraft-git-"));
  const git = (...args: string[]) =>
    spawn("git", args, {
      cwd: folder,
      stdin: "ignore",
      timeout: 60_000,
      env: { GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" },
    });
  try {
    await git("init", "--quiet", "--bare");
    await git("fetch", "--quiet", "--depth=1", "--filter=blob:none", url, commit);
    return there("");
  } catch (error) {
    const { stderr = "", message } = error as SubprocessError;
    const said = (stderr.trim() || message).split("\n").at(-1) ?? "";
    return /not our ref|couldn't find remote ref|unadvertised object|not found/i.test(said)
      ? gone(said)
      : notKnown(said);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
