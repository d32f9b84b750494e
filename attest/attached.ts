import { type AttachedKind, listAttached } from "../registry/attached.ts";
import type { Credentials } from "../registry/login.ts";
import { Repository } from "../registry/repository.ts";

/** What is kept of a statement: https://github.com/sigstore/protobuf-specs and https://github.com/secure-systems-lab/dsse */
interface Bundle {
  dsseEnvelope?: { payload?: string };
  payload?: string;
}

/**
 * Reads the statements of a kind that lie beside an image, whoever signed them: for what is proven in another way anyhow.
 *
 * @param digest of the image's manifest or index
 * @returns the predicates
 * @throws RegistryError
 */
export async function readUnverified(
  repositoryName: string,
  digest: string,
  kind: AttachedKind,
  credentials?: Credentials,
): Promise<unknown[]> {
  const repository = new Repository(repositoryName, credentials);
  const attached = await listAttached(repository, digest);
  const own = attached.filter((one) => one.kind === kind);
  const texts = await Promise.all(
    own.map(async (one) => {
      const { manifest } = await repository.manifest(one.digest);
      const [layer] = manifest.layers ?? [];
      return layer ? (await repository.blob(layer)).toString() : "";
    }),
  );
  return texts.map(predicateIn).filter((predicate) => predicate !== undefined);
}

/** Undefined for what is no statement. */
function predicateIn(text: string): unknown {
  try {
    const { dsseEnvelope, payload = dsseEnvelope?.payload ?? "" }: Bundle = JSON.parse(text);
    return (JSON.parse(Buffer.from(payload, "base64").toString()) as { predicate?: unknown }).predicate;
  } catch {
    return undefined;
  }
}
