import { createHash } from "node:crypto";
import { Refused, RegistryError, Unanswered } from "./errors.ts";
import { type Answer, ask, type Patience, patience, type Question } from "./http.ts";
import { type Credentials, dockerLogin, type Found } from "./login.ts";
import {
  type Descriptor,
  type FoundManifest,
  indexType,
  type Manifest,
  manifestTypes,
  parseManifest,
} from "./manifests.ts";
import { hostOf, isLoopback, locate } from "./references.ts";
import { refusal } from "./refusal.ts";
import { basic, fetchToken, parseChallenge, secretsOf } from "./tokens.ts";

/** What is held in memory: https://github.com/opencontainers/distribution-spec asks no more of a registry for a manifest. */
const smallBytes = 4 << 20;

/** A blob, and its size where it is known. */
type BlobName = Pick<Descriptor, "digest"> & Partial<Pick<Descriptor, "size">>;

/** What is sent, beside the path. */
type Sent = Pick<Question, "method" | "body" | "bytes"> & { accept: string; type?: string };

/** A repository of an OCI registry: https://github.com/opencontainers/distribution-spec. */
export class Repository {
  readonly host: string;
  readonly path: string;
  readonly #registry: string;
  readonly #patience: Patience;
  #found: Found | undefined;
  #authorization: string | undefined;
  /** A token that was got. */
  #token = "";
  #plain = false;

  /**
   * @param name a repository without a tag, as Docker writes it, for example docker.io/djok/facecraft
   * @param credentials default: the user's `docker login`, where the registry asks for one
   */
  constructor(name: string, credentials?: Credentials, waiting: Partial<Patience> = {}) {
    const { registry, path } = locate(name);
    this.host = hostOf(registry);
    this.path = path;
    this.#registry = registry;
    this.#found = credentials && { login: credentials };
    this.#patience = { ...patience, ...waiting };
  }

  /** Fetches a manifest by tag or digest. @throws RegistryError */
  async manifest(reference: string): Promise<FoundManifest> {
    const { digest, manifest } = await this.#manifest(reference);
    return { digest, manifest };
  }

  /**
   * Digests of the manifests that refer to one as their subject, by the referrers API.
   *
   * @returns undefined where the registry has no such API
   * @throws RegistryError
   */
  async referrers(digest: string): Promise<string[] | undefined> {
    let answer: Answer;
    try {
      answer = await this.#send(`referrers/${digest}`, { accept: indexType });
    } catch (error) {
      // What a registry answers to a path that it does not know differs.
      if (error instanceof Refused && [400, 404, 405, 406, 501].includes(error.status)) {
        return undefined;
      }
      throw error;
    }
    if (!answer.header("content-type").startsWith(indexType)) {
      await answer.discard();
      return undefined;
    }
    const index = parseManifest(await this.#whole(answer.bytes(), `list of referrers of ${digest}`, smallBytes));
    return (index?.manifests ?? []).map((entry) => entry.digest);
  }

  /** Lets a tag name a manifest that is there, byte for byte. Wants credentials that may push. @throws RegistryError */
  async tag(tag: string, digest: string): Promise<void> {
    const { body, type } = await this.#manifest(digest);
    await (await this.#send(`manifests/${tag}`, { accept: "*/*", method: "PUT", body, type })).discard();
  }

  /** Stores a manifest under a tag. All that it names must be there. Wants credentials that may push. @throws RegistryError */
  async put(tag: string, manifest: Manifest): Promise<void> {
    const body = Buffer.from(JSON.stringify(manifest));
    const sent = { accept: "*/*", method: "PUT", body, type: manifest.mediaType ?? indexType } as const;
    await (await this.#send(`manifests/${tag}`, sent)).discard();
  }

  /** Asks whether a push would be let in, and pushes nothing. @throws RegistryError with the refusal */
  async checkPush(): Promise<void> {
    const answer = await this.#send("blobs/uploads/", { accept: "*/*", method: "POST" });
    await answer.discard();
    // The upload that was begun is given up; one that lies elsewhere ends by itself.
    const upload = URL.parse(answer.header("location"), answer.url)?.href ?? "";
    const here = answer.url.slice(0, -"blobs/uploads/".length);
    if (upload.startsWith(here)) {
      const given = this.#send(upload.slice(here.length), { accept: "*/*", method: "DELETE" });
      await given.then((end) => end.discard()).catch(() => {});
    }
  }

  async #manifest(reference: string): Promise<FoundManifest & { body: Buffer; type: string }> {
    const answer = await this.#send(`manifests/${reference}`, { accept: manifestTypes.join(", ") });
    const body = await this.#whole(answer.bytes(), `manifest ${reference}`, smallBytes);
    const digest = digestOf(body);
    if (reference.startsWith("sha256:") && digest !== reference) {
      throw new RegistryError(
        `${this.host} answered ${reference} of ${this.path} with a manifest whose digest is ${digest}.`,
      );
    }
    const manifest = parseManifest(body);
    if (manifest === undefined) {
      throw new RegistryError(`${answer.url} was answered with something else than a manifest.`);
    }
    return { digest, manifest, body, type: answer.header("content-type") };
  }

  /** Fetches a blob and checks it against its digest. Meant for small ones: it is held in memory. @throws RegistryError */
  blob(descriptor: BlobName): Promise<Buffer> {
    return this.#whole(this.stream(descriptor), `blob ${descriptor.digest}`, smallBytes);
  }

  /** Fetches a blob of any size. @throws RegistryError, at the end of the bytes when they are not those of the digest */
  async *stream({ digest, size }: BlobName): AsyncGenerator<Buffer> {
    const answer = await this.#send(`blobs/${digest}`, { accept: "*/*", bytes: size });
    const hash = createHash("sha256");
    let left = size ?? Number.POSITIVE_INFINITY;
    for await (const piece of answer.bytes()) {
      hash.update(piece);
      left -= piece.length;
      if (left < 0) {
        throw new RegistryError(
          `${this.host} answered blob ${digest} of ${this.path} with more than its ${size} bytes.`,
        );
      }
      yield piece;
    }
    const came = `sha256:${hash.digest("hex")}`;
    if (came !== digest) {
      throw new RegistryError(`${this.host} answered blob ${digest} of ${this.path} with other bytes (${came}).`);
    }
  }

  async #whole(bytes: AsyncIterable<Buffer>, what: string, limit: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of bytes) {
      pieces.push(piece);
      length += piece.length;
      if (length > limit) {
        throw new RegistryError(`${this.host} answered ${what} of ${this.path} with more than ${limit} bytes.`);
      }
    }
    return Buffer.concat(pieces);
  }

  async #send(path: string, sent: Sent): Promise<Answer> {
    let answer = await this.#ask(path, sent);
    if (answer.status === 401) {
      this.#authorization = await this.#authorize(answer.header("www-authenticate"));
      if (this.#authorization !== undefined) {
        await answer.discard();
        answer = await this.#ask(path, sent);
      }
    }
    if (answer.status < 200 || answer.status >= 300) {
      const { login } = this.#found ?? {};
      const secrets = [...(login ? secretsOf(login) : []), this.#token];
      throw await refusal(`${answer.url} answered`, answer, this.#hint(answer.status), secrets);
    }
    return answer;
  }

  /** Like Docker, plain HTTP for a registry on this machine that does not speak TLS, and for no other. */
  async #ask(path: string, { accept, type, ...sent }: Sent): Promise<Answer> {
    const headers = {
      accept,
      ...(type && { "content-type": type }),
      ...(this.#authorization && { authorization: this.#authorization }),
    };
    const question = { who: "The registry", headers, patience: this.#patience, ...sent } as const;
    const url = (scheme: string) => new URL(`${scheme}://${this.host}/v2/${this.path}/${path}`);
    if (this.#plain) {
      return ask(url("http"), question);
    }
    try {
      return await ask(url("https"), question);
    } catch (error) {
      if (!isLoopback(this.host) || !(error instanceof Unanswered) || !speaksNoTls(error)) {
        throw error;
      }
      this.#plain = true;
      return ask(url("http"), question);
    }
  }

  async #authorize(header: string): Promise<string | undefined> {
    this.#found ??= await dockerLogin(this.#registry);
    const { login } = this.#found;
    const challenge = parseChallenge(header);
    if (challenge === undefined) {
      return login && "username" in login ? basic(login) : undefined;
    }
    const hint = (status: number) => this.#hint(status);
    const [path, plain, patience] = [this.path, this.#plain, this.#patience];
    this.#token = await fetchToken({ challenge, login, path, plain, patience, hint });
    return `Bearer ${this.#token}`;
  }

  #hint(status: number): string {
    if (status !== 401 && status !== 403) {
      return "";
    }
    const trouble = this.#found?.trouble ? `${this.#found.trouble}; ` : "";
    return `${trouble}log in with \`docker login${this.#registry === "docker.io" ? "" : ` ${this.#registry}`}\``;
  }
}

function speaksNoTls({ code }: Unanswered): boolean {
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH|EPROTO/.test(code ?? "");
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
