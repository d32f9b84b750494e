import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attest, CosignError, type Signer, sign } from "../attest/cosign.ts";
import { AttestError } from "../attest/errors.ts";
import { type ProvenanceInputs, provenanceOf } from "../attest/provenance.ts";
import { type Attached, type AttachedKind, forgetMissing, listAttached } from "../registry/attached.ts";
import { RegistryError } from "../registry/errors.ts";
import type { ImageFacts } from "../registry/facts.ts";
import { givenLogin } from "../registry/login.ts";
import { Repository } from "../registry/repository.ts";
import { warn } from "./warn.ts";

/** What a ReleaseSignature is told. */
export interface Inputs {
  /** Without a tag. */
  repository: string;
  digest: string;
  /** The private key, as cosign writes it; empty for one that OIDC vouches for. */
  key: string;
  keyPassword?: string;
  /** What the key says of itself (PEM), as an update has found it; a preview does not open it. */
  publicKey?: string;
  /** What the provenance says of how the image came about. */
  madeFrom: ProvenanceInputs;
  /** Of the registry; default: the user's own `docker login`. */
  username?: string;
  password?: string;
}

/** What the stack remembers of it. The key's password is not among it: nothing but signing needs it. */
export interface State extends Omit<Inputs, "keyPassword"> {
  /** `repository@sha256:...` of what is attached to the image. */
  signature: string;
  sbom: string;
  provenance: string;
  /** What of it is gone, as the last refresh found it; empty when all of it is there. */
  drift: string;
}

/** The parts of a state, and what cosign calls them. */
const parts = { signature: "signature", sbom: "cyclonedx", provenance: "slsaprovenance1" } as const satisfies Record<
  string,
  AttachedKind
>;

type Part = keyof typeof parts;

const partNames = Object.keys(parts) as Part[];

const compared = ["repository", "digest", "key", "username", "password"] as const;

/**
 * What the provenance says decides nothing: it is of the update that has built the image. A key that is another one, though it is
 * called the same, shows when it is opened, and so in an update only.
 */
export async function diff(_id: string, olds: State, news: Inputs): Promise<{ changes: boolean }> {
  const changed = compared.some((key) => olds[key] !== news[key]);
  return { changes: changed || hasOtherKey(olds, news) || Boolean(olds.drift) };
}

export async function create(inputs: Inputs): Promise<{ id: string; outs: State }> {
  return { id: inputs.repository, outs: await attachAll(inputs, partNames, {}) };
}

/** Signs another image, or with another key; of the same, what is gone is made anew. */
export async function update(_id: string, olds: State, news: Inputs): Promise<{ outs: State }> {
  const isSame = olds.repository === news.repository && olds.digest === news.digest && olds.key === news.key;
  if (!isSame || hasOtherKey(olds, news)) {
    return { outs: await attachAll(news, partNames, {}) };
  }
  const gone = missingOf(olds, await listed(news));
  // It is the image of the update that has built it, whoever signs it again.
  const outs = await attachAll({ ...news, madeFrom: olds.madeFrom }, gone, olds);
  warn(gone.map((part) => `${titles[part]} of ${imageOf(news)} was gone; it is attached again, as ${outs[part]}`));
  return { outs };
}

/** Refresh: asks the registry what is attached. A registry that does not say changes nothing. */
export async function read(id: string, state: State): Promise<{ id: string; props: State }> {
  try {
    const gone = missingOf(state, await listed(state)).map((part) => `${titles[part]} ${state[part]} is gone`);
    warn(gone);
    return { id, props: { ...state, drift: gone.join("; ") } };
  } catch (error) {
    if (!(error instanceof RegistryError)) {
      throw error;
    }
    warn([`It is not known whether ${imageOf(state)} is still signed: ${error.message.replace(/\.$/, "")}`]);
    return { id, props: state };
  }
}

const titles: Record<Part, string> = { signature: "The signature", sbom: "The SBOM", provenance: "The provenance" };

function hasOtherKey({ publicKey: old }: State, { publicKey: now }: Inputs): boolean {
  return Boolean(old && now && old !== now);
}

function missingOf(state: State, attached: readonly Attached[]): Part[] {
  return partNames.filter((part) => !attached.some(({ digest }) => `${state.repository}@${digest}` === state[part]));
}

/** Attaches parts, one after the other: the list of what is attached is one manifest where there is no referrers API. */
async function attachAll(inputs: Inputs, wanted: readonly Part[], before: Partial<State>): Promise<State> {
  const { keyPassword: _, ...told } = inputs;
  const made: Record<Part, string> = { signature: "", sbom: "", provenance: "", ...pick(before) };
  const folder = await mkdtemp(join(tmpdir(), "facecraft-attest-"));
  try {
    // What cannot be said of the image is found out before it is signed.
    const files = await writePredicates(inputs, wanted, folder);
    await forgetMissing(repositoryOf(inputs), inputs.digest);
    for (const part of wanted) {
      const known = new Set((await listed(inputs)).map(({ digest }) => digest));
      await attachOne(inputs, parts[part], files[part]);
      const fresh = (await listed(inputs)).find(({ digest, kind }) => kind === parts[part] && !known.has(digest));
      if (fresh === undefined) {
        throw new CosignError("registry", `The registry took ${lowered(titles[part])}, but does not list it.`);
      }
      made[part] = `${inputs.repository}@${fresh.digest}`;
    }
  } catch (error) {
    if (!(error instanceof CosignError || error instanceof AttestError || error instanceof RegistryError)) {
      throw error;
    }
    const image = imageOf(inputs);
    throw new AttestError(
      before.signature
        ? `${image} lacks what was attached to it, which could not be made anew: ${error.message}`
        : `${image} was pushed, but is not released, because it could not be signed: ${error.message} The outputs and the ` +
            "moving tag are as before. The next update signs it, without building it again.",
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { ...told, ...made, drift: "" };
}

function pick(state: Partial<State>): Partial<Record<Part, string>> {
  return Object.fromEntries(partNames.flatMap((part) => (state[part] ? [[part, state[part]]] : [])));
}

/** What is attested, in files by the parts. */
async function writePredicates(
  inputs: Inputs,
  wanted: readonly Part[],
  folder: string,
): Promise<Partial<Record<Part, string>>> {
  const files: Partial<Record<Part, string>> = {};
  const attested = wanted.filter((part) => part !== "signature");
  if (attested.length > 0) {
    const facts = await readFacts(inputs);
    for (const part of attested) {
      files[part] = join(folder, `${part}.json`);
      await writeFile(files[part], await predicateOf(inputs, part, facts));
    }
  }
  return files;
}

async function predicateOf({ madeFrom }: Inputs, part: Part, facts: ImageFacts): Promise<string> {
  if (part === "provenance") {
    return JSON.stringify(provenanceOf(madeFrom, facts));
  }
  const { checkSbom, sbomOf } = await import("../attest/sbom.ts");
  const text = sbomOf(facts);
  const [fault] = await checkSbom(text);
  if (fault !== undefined) {
    throw new AttestError(`Its SBOM is not as CycloneDX wants it: ${fault}.`);
  }
  return text;
}

function attachOne(inputs: Inputs, kind: AttachedKind, file = ""): Promise<void> {
  const [image, signer, login] = [imageOf(inputs), signerOf(inputs), givenLogin(inputs)];
  return kind === "signature" ? sign(image, signer, login) : attest(image, kind, file, signer, login);
}

function lowered(title: string): string {
  return title.replace(/^The/, "the");
}

async function readFacts(inputs: Inputs): Promise<ImageFacts> {
  const { readFacts } = await import("../registry/facts.ts");
  return readFacts({ repository: inputs.repository, digest: inputs.digest }, givenLogin(inputs));
}

type Place = Pick<Inputs, "repository" | "digest" | "username" | "password">;

function listed(place: Place): Promise<Attached[]> {
  return listAttached(repositoryOf(place), place.digest);
}

function repositoryOf(place: Place): Repository {
  return new Repository(place.repository, givenLogin(place));
}

function imageOf({ repository, digest }: Pick<Inputs, "repository" | "digest">): string {
  return `${repository}@${digest}`;
}

function signerOf({ key, keyPassword }: Inputs): Signer {
  return key === "" ? { keyless: true } : { key, ...(keyPassword && { password: keyPassword }) };
}
