import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import spawn, { type SubprocessError } from "nano-spawn";
import { ActionableError } from "../artifacts/errors.ts";
import { predicateTypes } from "../registry/attached.ts";
import type { Credentials } from "../registry/login.ts";
import { locate, splitReference } from "../registry/references.ts";
import { basic } from "../registry/tokens.ts";

/** Who signs: a private key (a file, `env://NAME`, or a KMS, as cosign writes them), or whom the environment's OIDC names. */
export type Signer = { key: string; password?: string } | { keyless: true };

/** Whose signature counts: that of a public key, or that of an identity which an OIDC issuer vouches for. */
export type Trust = { key: string } | { identity: string; issuer: string };

/** What can be attested of an image, as cosign calls it. */
export type AttestationKind = "cyclonedx" | "slsaprovenance1";

/** Why cosign did not do, or did not find, what it was asked for. */
export type CosignReason =
  | "tool" // cosign itself is not there
  | "key" // the key cannot be read, or is none
  | "password" // the key's password is another one
  | "missing" // nothing is attached that is of the kind
  | "foreign" // what is attached is signed by somebody else, or was changed since
  | "registry" // the registry cannot be asked, or refuses
  | "other";

/** One sentence for a person. */
export class CosignError extends ActionableError {
  readonly reason: CosignReason;

  constructor(reason: CosignReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Signs an image. With a key no transparency log takes part, so it works offline; keyless writes to the public one.
 *
 * @param image `repository@sha256:<64 hex digits>`
 * @param login default: the user's own `docker login`
 * @throws CosignError
 */
export async function sign(image: string, signer: Signer, login?: Credentials): Promise<void> {
  await cosign(["sign", ...signing(signer), image], { image, signer, login });
}

/**
 * Signs a statement about an image, and attaches it.
 *
 * @param image `repository@sha256:<64 hex digits>`
 * @param predicateFile path of a JSON file with what is stated
 * @param login default: the user's own `docker login`
 * @throws CosignError
 */
export async function attest(
  image: string,
  kind: AttestationKind,
  predicateFile: string,
  signer: Signer,
  login?: Credentials,
): Promise<void> {
  const args = ["attest", ...signing(signer), `--type=${kind}`, `--predicate=${predicateFile}`, image];
  await cosign(args, { image, signer, login });
}

/**
 * Checks that an image is signed. An attestation is no signature of the image, though cosign takes it for one.
 *
 * @param image `repository@sha256:<64 hex digits>`
 * @param login default: the user's own `docker login`
 * @throws CosignError where it is not signed, or not by whom it must be
 */
export async function verifySignature(image: string, trust: Trust, login?: Credentials): Promise<void> {
  const said = await cosign(["verify", ...trusting(trust), "--output=json", image], { image, trust, login });
  const isSignature = ({ critical }: Claim) =>
    signatureTypes.includes(critical?.type ?? "") && critical?.image?.["docker-manifest-digest"] === digestOf(image);
  if (!(JSON.parse(said || "[]") as Claim[]).some(isSignature)) {
    throw new CosignError("missing", missing({ image, trust }));
  }
}

/**
 * Reads the statements of a kind that are made of an image, and signed by whom they must be.
 *
 * @param image `repository@sha256:<64 hex digits>`
 * @param login default: the user's own `docker login`
 * @returns the predicates, at least one
 * @throws CosignError where there is none
 */
export async function verifyAttestation(
  image: string,
  kind: AttestationKind,
  trust: Trust,
  login?: Credentials,
): Promise<unknown[]> {
  const args = ["verify-attestation", ...trusting(trust), `--type=${kind}`, image];
  const said = await cosign(args, { image, trust, login, kind });
  const hex = digestOf(image).replace("sha256:", "");
  const statements = said.split("\n").filter(Boolean).map(statementIn);
  const own = statements.filter(
    ({ predicateType, subject }) =>
      predicateType === predicateTypes[kind] && subject?.some(({ digest }) => digest?.sha256 === hex),
  );
  if (own.length === 0) {
    throw new CosignError("missing", missing({ image, kind, trust }));
  }
  return own.map(({ predicate }) => predicate);
}

/**
 * Opens a signer's key, which shows that it is there and that its password is right. A key file and a variable need no
 * network; a KMS is asked.
 *
 * @returns the public key (PEM)
 * @throws CosignError
 */
export function publicKey(signer: { key: string; password?: string }): Promise<string> {
  return cosign(["public-key", `--key=${signer.key}`], { signer });
}

const signatureTypes: readonly string[] = [predicateTypes.signature, "cosign container image signature"];

interface Claim {
  critical?: { type?: string; image?: { "docker-manifest-digest"?: string } };
}

interface Statement {
  predicateType?: string;
  subject?: { digest?: { sha256?: string } }[];
  predicate?: unknown;
}

/** The statement in a DSSE envelope (https://github.com/secure-systems-lab/dsse), which cosign has verified. */
function statementIn(envelope: string): Statement {
  const { payload = "" } = JSON.parse(envelope) as { payload?: string };
  return JSON.parse(Buffer.from(payload, "base64").toString()) as Statement;
}

function signing(signer: Signer): string[] {
  return "key" in signer
    ? ["--yes", `--key=${signer.key}`, "--tlog-upload=false", "--use-signing-config=false"]
    : ["--yes"];
}

function trusting(trust: Trust): string[] {
  if ("key" in trust) {
    return [`--key=${trust.key}`, "--insecure-ignore-tlog=true"];
  }
  const { identity, issuer } = trust;
  const name = /^\^.*\$$/s.test(identity) ? "certificate-identity-regexp" : "certificate-identity";
  return [`--${name}=${identity}`, `--certificate-oidc-issuer=${issuer}`];
}

interface Asked {
  image?: string;
  signer?: Signer;
  trust?: Trust;
  kind?: AttestationKind;
  login?: Credentials | undefined;
}

/** Sigstore's servers are asked again and again where they do not answer; a registry is asked for less long. */
const longestMs = 2 * 60_000;

/** Runs cosign and returns what it says on standard output. @throws CosignError */
async function cosign(args: readonly string[], asked: Asked): Promise<string> {
  const { image, login, signer } = asked;
  const folder = image && login && (await dockerConfig(image, login));
  const password = (signer && "key" in signer ? signer.password : undefined) ?? process.env.COSIGN_PASSWORD ?? "";
  const env = {
    // Always there: without it, cosign would ask a person.
    COSIGN_PASSWORD: password,
    // Signatures lie beside the image, and nowhere else.
    COSIGN_REPOSITORY: undefined,
    ...(folder && { DOCKER_CONFIG: folder }),
  };
  try {
    return (await spawn("cosign", args, { stdin: "ignore", env, timeout: longestMs })).stdout;
  } catch (error) {
    throw explain(error as SubprocessError, asked);
  } finally {
    if (folder) {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** A folder with a `docker login` for one registry, that only this user can read; so no credential is on a command line. */
async function dockerConfig(image: string, login: Credentials): Promise<string> {
  const { registry } = locate(splitReference(image).repository);
  const key = registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
  const auth = basic(login).replace(/^Basic /, "");
  const folder = await mkdtemp(join(tmpdir(), "facecraft-cosign-"));
  await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [key]: { auth } } }), { mode: 0o600 });
  return folder;
}

/** What cosign says, why it says so, and what that means for a person; the first that fits. */
const meanings: [RegExp, CosignReason, (asked: Asked, said: string) => string][] = [
  [/decryption failed/, "password", (asked) => `The password of the key ${keyOf(asked)} is another one.`],
  [/\bopen .*: no such file/, "key", (asked) => `There is no key at ${keyOf(asked)}.`],
  [/env var \$\w+ not found/, "key", (asked) => `The key is ${keyOf(asked)}, but that variable is not set.`],
  [
    /invalid pem block|pem decoding failed|unsupported pem type|unknown public key pem|parsing private key|is a directory/i,
    "key",
    (asked) =>
      `What is at ${keyOf(asked)} is no ${asked.trust ? "public key (PEM)" : "private key, as `cosign generate-key-pair` makes it"}.`,
  ],
  [
    /\bkms get\b|operation error kms|unrecognized scheme|getting public key|kubernetes specification|secret exists/i,
    "key",
    (asked, said) => `The key ${keyOf(asked)} cannot be used: ${said}.`,
  ],
  [
    /do not match threshold|none of the expected identities|invalid signature/,
    "foreign",
    (asked) => `What is attached to ${asked.image} was not signed by ${whoseOf(asked.trust)}, or was changed since.`,
  ],
  [
    /does not match any digest|no matching subject/,
    "foreign",
    (asked) => `What is attached to ${asked.image} was signed for another image.`,
  ],
  [
    /no signatures found|no matching (attestations|signatures): *$|none of the attestations matched/m,
    "missing",
    (asked) => missing(asked),
  ],
  [
    /\bTUF\b|sigstore\.dev.*(dial|lookup|connect)/i,
    "other",
    (asked, said) =>
      `Sigstore's own servers cannot be asked about ${asked.image}, which keyless signatures need: ${said}.`,
  ],
  [
    /connection refused|no such host|unexpected status code|unauthorized|denied|x509|certificate|timeout|deadline/i,
    "registry",
    (asked, said) => `The registry does not let cosign work on ${asked.image}: ${said}.`,
  ],
];

const titles: Record<AttestationKind, string> = { cyclonedx: "SBOM", slsaprovenance1: "provenance" };

function missing({ image, kind, trust }: Asked): string {
  return `${image} has no ${kind ? titles[kind] : "signature"} by ${whoseOf(trust)}.`;
}

function keyOf({ signer, trust }: Asked): string {
  const holder = signer ?? trust;
  return holder && "key" in holder ? holder.key : "";
}

function whoseOf(trust: Trust | undefined): string {
  return trust && "identity" in trust ? `${trust.identity} (${trust.issuer})` : `the key ${trust?.key}`;
}

function explain(error: SubprocessError, asked: Asked): CosignError {
  if ((error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT") {
    return new CosignError(
      "tool",
      "cosign is not installed, or not on the PATH: install it, or let `make up` or `make doctor` say more.",
    );
  }
  const said = saidIn(error.stderr);
  const [, reason = "other", sentence] = meanings.find(([pattern]) => pattern.test(said)) ?? [];
  return new CosignError(
    reason,
    sentence?.(asked, said) ??
      `cosign failed for ${asked.image ?? keyOf(asked)}: ${said || (isLate(error) ? `it did not end in ${longestMs / 1000} s` : error.message)}.`,
  );
}

function isLate({ signalName }: SubprocessError): boolean {
  return signalName === "SIGTERM";
}

/** What cosign says went wrong, on one line. It says so twice, after warnings and what it is at. */
function saidIn(stderr: string): string {
  const [, ...errors] = stderr.split(/^Error: /m);
  const [error = ""] = (errors.at(-1) ?? stderr).split(/^error during command execution/m);
  return error
    .replace(/^signing .*?sha256:[0-9a-f]{64}\]?: /, "")
    .replaceAll(/[\p{C}\s]+/gu, " ")
    .trim()
    .replace(/\.$/, "")
    .slice(0, 500);
}

function digestOf(image: string): string {
  return splitReference(image).digest ?? "";
}
