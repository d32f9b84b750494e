import { ActionableError } from "../artifacts/errors.ts";
import { type AttachedKind, listAttached } from "../registry/attached.ts";
import { type ImageFacts, readFacts } from "../registry/facts.ts";
import type { Credentials } from "../registry/login.ts";
import { Repository } from "../registry/repository.ts";
import { type Claims, compareClaims, compareContents, compareProvenance, compareStatement } from "./compare.ts";
import { compareSbom } from "./compareSbom.ts";
import { type AttestationKind, CosignError, type Trust, verifyAttestation, verifySignature } from "./cosign.ts";
import { type ParsedProvenance, parseProvenance, provenanceOf } from "./provenance.ts";
import { sbomOf } from "./sbom.ts";

/** An image that is not what it, or somebody who names it, claims. Says all that does not hold, one sentence each. */
export class VerifyError extends ActionableError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** What is asked of an image. */
export interface Question {
  /** Whose signature it must have; undefined where nobody knows, and then only what the image says of itself is compared. */
  trust?: Trust | undefined;
  /** Local version of the torch wheels of each variant, such as cpu or cu118, by its name: that is how an image says its variant. */
  flavours: Readonly<Record<string, string>>;
  /** What somebody else says of it. */
  claims?: Claims;
  /** Default: the user's own docker login. */
  login?: Credentials;
}

/** What came of it: sentences on what does not hold, none where it does, and undefined where it was not looked at. */
export interface Examined {
  facts: ImageFacts;
  /** What the image has in it, against what it says that it is. */
  contents: string[];
  signature: string[] | undefined;
  provenance: string[] | undefined;
  sbom: string[] | undefined;
  /** What the provenance states, where it is signed; of several, the last. */
  stated?: ParsedProvenance;
  /** Kinds of what lies beside the image, whoever signed it; where nobody says whose signature counts, and else not asked for. */
  attached?: readonly string[];
}

/**
 * Looks at an image: whether it has the signature, whether provenance and SBOM are signed too and are of this digest, and whether
 * what they state is what the image itself says. Of several of a kind that are signed, every one must hold.
 *
 * @param image `repository:tag`, `repository@digest`, or both; a tag is asked once, for its digest
 * @throws RegistryError for what is not there or no image of this project, and CosignError where cosign, the key or the registry
 * cannot be used
 */
export async function examine(image: string, { trust, flavours, claims = {}, login }: Question): Promise<Examined> {
  const facts = await readFacts(image, login);
  const contents = [...compareContents(facts), ...compareClaims(claims, facts, flavours)];
  if (trust === undefined) {
    const attached = (await attachedTo(facts, login)).map(({ kind }) => kind);
    return { facts, contents, signature: undefined, provenance: undefined, sbom: undefined, attached };
  }
  const exact = `${facts.repository}@${facts.digest}`;
  const [signature, provenances, sboms] = await Promise.all([
    faultsOf(async () => {
      await verifySignature(exact, trust, login);
      return [];
    }),
    attested(facts, "slsaprovenance1", trust, login),
    attested(facts, "cyclonedx", trust, login),
  ]);
  const stated = provenances.predicates.map((predicate) => parsed(predicate, facts));
  const last = stated.at(-1)?.provenance;
  return {
    facts,
    contents,
    signature,
    provenance: unique([
      ...provenances.faults,
      ...stated.flatMap(({ faults, provenance }) => [
        ...faults,
        ...(provenance ? compareProvenance(provenance, facts, flavours) : []),
      ]),
    ]),
    sbom: unique([...sboms.faults, ...(await faultsOf(async () => compareSboms(sboms.predicates, facts)))]),
    ...(last && { stated: last }),
  };
}

/**
 * The same, for who wants to run it.
 *
 * @throws VerifyError for whatever does not hold; where the signature does not, that is all that is said
 */
export async function verifyRelease(image: string, question: Question & { trust: Trust }): Promise<Examined> {
  const examined = await examine(image, question);
  const { signature = [], provenance = [], sbom = [], contents } = examined;
  const problems = signature.length > 0 ? signature : [...provenance, ...sbom, ...contents];
  if (problems.length > 0) {
    throw new VerifyError(unique(problems));
  }
  return examined;
}

const titles: Record<AttestationKind, string> = { slsaprovenance1: "provenance", cyclonedx: "SBOM" };

/** The signed statements of a kind about this digest, or why there are none. */
async function attested(
  facts: ImageFacts,
  kind: AttestationKind,
  trust: Trust,
  login: Credentials | undefined,
): Promise<{ predicates: unknown[]; faults: string[] }> {
  const image = `${facts.repository}@${facts.digest}`;
  let predicates: unknown[] = [];
  const faults = await faultsOf(async () => {
    try {
      predicates = await verifyAttestation(image, kind, trust, login);
      return [];
    } catch (error) {
      // cosign passes over what is not of this key or this image, so it may say that nothing is there.
      if (error instanceof CosignError && error.reason === "missing" && (await isAttached(facts, kind, login))) {
        const whose = "key" in trust ? `the key ${trust.key}` : trust.identity;
        return [
          `The ${titles[kind]} that is attached to ${image} was not signed by ${whose}, was signed for another image, or was ` +
            "changed since.",
        ];
      }
      throw error;
    }
  });
  return { predicates, faults };
}

async function isAttached(facts: ImageFacts, wanted: AttachedKind, login: Credentials | undefined): Promise<boolean> {
  return (await attachedTo(facts, login)).some(({ kind }) => kind === wanted);
}

function attachedTo({ repository, digest }: ImageFacts, login: Credentials | undefined) {
  return listAttached(new Repository(repository, login), digest);
}

function compareSboms(sboms: readonly unknown[], facts: ImageFacts): string[] {
  return sboms.flatMap((sbom) => compareSbom(sbom, JSON.parse(sbomOf(facts))));
}

function parsed(predicate: unknown, facts: ImageFacts): { provenance?: ParsedProvenance; faults: string[] } {
  try {
    const provenance = parseProvenance(predicate);
    // What its proof is, is compared with the image beside this: here it is as it is stated.
    const expected = provenanceOf(provenance, { ...facts, record: provenance.proof });
    return { provenance, faults: compareStatement(predicate, expected, provenance) };
  } catch (error) {
    return { faults: [sentenceOf(error)] };
  }
}

async function faultsOf(look: () => Promise<string[]>): Promise<string[]> {
  try {
    return await look();
  } catch (error) {
    return [sentenceOf(error)];
  }
}

/** What says nothing of the image: nothing can be verified then. */
const ownTrouble: readonly string[] = ["tool", "key", "registry"];

/** @throws what is no fault of the image, and whatever is no sentence for a person */
function sentenceOf(error: unknown): string {
  if (!(error instanceof ActionableError) || (error instanceof CosignError && ownTrouble.includes(error.reason))) {
    throw error;
  }
  return error.message;
}

function unique(sentences: readonly string[]): string[] {
  return [...new Set(sentences)];
}
