import * as pulumi from "@pulumi/pulumi";
import type { ProvenanceInputs } from "../attest/provenance.ts";
import type { Inputs, State } from "./signatureProvider.ts";

export interface ReleaseSignatureArgs {
  /** Without a tag. */
  repository: pulumi.Input<string>;
  /** `sha256:<64 hex digits>` of what was pushed. */
  digest: pulumi.Input<string>;
  /** The private key, as cosign writes it; empty for one that OIDC vouches for. */
  key: pulumi.Input<string>;
  /** Becomes secret. */
  keyPassword?: pulumi.Input<string> | undefined;
  /** What the key says of itself (PEM), where it was opened. */
  publicKey?: pulumi.Input<string> | undefined;
  /** What the provenance says of how the image came about; no secrets. */
  madeFrom: pulumi.Input<ProvenanceInputs>;
  /** Default: the user's own `docker login`. */
  username?: pulumi.Input<string> | undefined;
  /** Becomes secret. */
  password?: pulumi.Input<string> | undefined;
}

// Stored in every state file, as the provider of ModelChecksum is: a few lines that load the real one, from a path that
// must not change.
const load = () =>
  import(process.getBuiltinModule("node:url").pathToFileURL(`${process.cwd()}/components/signatureProvider.ts`).href);

const provider: pulumi.dynamic.ResourceProvider = {
  diff: async (id, olds, news) => (await load()).diff(id, olds, news),
  create: async (inputs) => (await load()).create(inputs),
  read: async (id, state) => (await load()).read(id, state),
  update: async (id, olds, news) => (await load()).update(id, olds, news),
};

/**
 * The signature of a release, and what is attested of it: its SBOM and its provenance, all attached to the image in the
 * registry. Refresh notices when one of them is gone, and the next update restores it. Deleting it deletes nothing.
 */
export class ReleaseSignature extends pulumi.dynamic.Resource {
  /** `repository@sha256:...`, as the others. */
  declare readonly signature: pulumi.Output<string>;
  declare readonly sbom: pulumi.Output<string>;
  declare readonly provenance: pulumi.Output<string>;
  /** Set by refresh: what of it is gone. Empty when all of it is there. */
  declare readonly drift: pulumi.Output<string>;

  constructor(name: string, args: ReleaseSignatureArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs: Record<Exclude<keyof State, keyof Inputs>, undefined> = {
      signature: undefined,
      sbom: undefined,
      provenance: undefined,
      drift: undefined,
    };
    const { keyPassword, password, ...others } = args;
    const secrets = {
      ...(keyPassword !== undefined && { keyPassword: pulumi.secret(keyPassword) }),
      ...(password !== undefined && { password: pulumi.secret(password) }),
    };
    super(provider, name, { ...others, ...secrets, ...outputs }, opts, "facecraft", "ReleaseSignature");
  }
}
