import { viewImage } from "../../policy/image.ts";
import { type Credentials, givenLogin } from "../../registry/login.ts";
import { splitReference } from "../../registry/references.ts";
import type { Published } from "../../registry/tags.ts";

/** What a stack's state says is out in the world. */
export interface Remembered {
  models: RememberedModel[];
  images: (Published & { credentials?: Credentials })[];
  signatures: RememberedSignature[];
  /** Digest that the stack's outputs name; empty where they name none. An update that ends early leaves those before it. */
  handedOver: string;
  /** Resources on which an update was still working when it ended: nobody knows what became of them. */
  interrupted: string[];
}

export interface RememberedModel {
  title: string;
  urls: string[];
  sha256: string;
  /** The mirror that served it, and the version that it served. */
  url: string;
  etag: string;
  lastModified: string;
  caBundle?: string;
}

/** A release that is signed: its image, and what is attached to it, each as `repository@sha256:...`. */
export interface RememberedSignature {
  repository: string;
  digest: string;
  attached: { what: "signature" | "SBOM" | "provenance"; reference: string }[];
  credentials?: Credentials;
}

/** Reads what `pulumi stack export --show-secrets` prints. */
export function readState(text: string): Remembered {
  const { deployment } = JSON.parse(text) as { deployment?: Deployment };
  const resources = (deployment?.resources ?? []).map(({ urn, type, inputs, outputs }) => ({
    name: nameOf(urn),
    type,
    inputs: open(inputs ?? {}) as Values,
    outputs: open(outputs ?? {}) as Values,
  }));
  const of = (name: string) => resources.filter(({ type }) => type.endsWith(`:${name}`)).map(({ outputs }) => outputs);
  return {
    models: resources.filter(({ type }) => type.endsWith(":ModelChecksum")).map(({ outputs }) => modelOf(outputs)),
    images: resources
      .filter(({ name, type, inputs }) => type === "docker-build:index:Image" && viewImage(name, inputs).publishes)
      .flatMap(({ inputs, outputs }) => imagesOf(inputs, String(outputs.digest ?? "")))
      .map((image) => withMovingTags(image, of("PublishedTags"))),
    signatures: of("ReleaseSignature").map(signatureOf),
    handedOver: String(resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs.digest ?? ""),
    interrupted: (deployment?.pending_operations ?? []).map(({ resource }) => nameOf(resource.urn)),
  };
}

type Values = Readonly<Record<string, unknown>>;

interface Deployment {
  resources?: { urn: string; type: string; inputs?: Values; outputs?: Values }[];
  pending_operations?: { resource: { urn: string } }[];
}

function modelOf({ title, urls, sha256, url, etag, lastModified, caBundle }: Values): RememberedModel {
  return {
    title: String(title ?? "model"),
    urls: list(urls).map(String),
    sha256: String(sha256 ?? ""),
    url: String(url ?? ""),
    etag: String(etag ?? ""),
    lastModified: String(lastModified ?? ""),
    ...(typeof caBundle === "string" && caBundle !== "" && { caBundle }),
  };
}

/** One for each repository that its tags are in. */
function imagesOf({ tags, registries }: Values, digest: string): Remembered["images"] {
  const references = list(tags).map((tag) => splitReference(String(tag)));
  const byRepository = Map.groupBy(references, ({ repository }) => repository);
  const { username, password } = (list(registries)[0] ?? {}) as Values;
  return [...byRepository].map(([repository, tagged]) => ({
    repository,
    tags: tagged.flatMap(({ tag }) => tag ?? []),
    digest,
    ...withLogin({ username, password }),
  }));
}

/** A signed release is pushed without its moving tag, which it gets when it is signed. */
function withMovingTags(image: Remembered["images"][number], settled: readonly Values[]): Remembered["images"][number] {
  const moving = settled.filter(({ repository, digest }) => repository === image.repository && digest === image.digest);
  return { ...image, tags: [...new Set([...moving.map(({ moving }) => String(moving)), ...image.tags])] };
}

function signatureOf({
  repository,
  digest,
  signature,
  sbom,
  provenance,
  username,
  password,
}: Values): RememberedSignature {
  return {
    repository: String(repository ?? ""),
    digest: String(digest ?? ""),
    attached: [
      { what: "signature", reference: String(signature ?? "") },
      { what: "SBOM", reference: String(sbom ?? "") },
      { what: "provenance", reference: String(provenance ?? "") },
    ],
    ...withLogin({ username, password }),
  };
}

/** The plain values, where the state keeps them secret. */
function open(of: unknown): unknown {
  if (Array.isArray(of)) {
    return of.map(open);
  }
  if (typeof of !== "object" || of === null) {
    return of;
  }
  return "plaintext" in of
    ? open(JSON.parse(String(of.plaintext)))
    : Object.fromEntries(Object.entries(of).map(([key, item]) => [key, open(item)]));
}

function list(of: unknown): unknown[] {
  return Array.isArray(of) ? of : [];
}

function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? urn;
}

function withLogin(given: Values): { credentials?: Credentials } {
  const credentials = givenLogin(given);
  return credentials ? { credentials } : {};
}
