import * as pulumi from "@pulumi/pulumi";
import { hasSecret } from "../artifacts/redact.ts";
import type { Inputs, State } from "./modelProvider.ts";

export interface ModelChecksumArgs {
  /** How people call the model; every message begins with it. Default: the resource's name. */
  title?: pulumi.Input<string>;
  /** Mirrors in order. They become secret as soon as one of them carries a credential. */
  urls: pulumi.Input<pulumi.Input<string>[]>;
  /** The pin, 64 hex digits, of the decompressed file. */
  sha256: pulumi.Input<string>;
  /** Absolute path of the file in the image. */
  file: pulumi.Input<string>;
  /** Sent as `Authorization: Bearer` to the host of the first URL; becomes secret. */
  token?: pulumi.Input<string>;
  /** A PEM file whose certificates are trusted beside the system's. */
  caBundle?: pulumi.Input<string> | undefined;
}

// The provider is stored in every state file, and what it closes over with it: so it is a few lines that load the real
// one from the program's folder (the working directory of the process it runs in). The path must not change, because
// refresh and destroy run what is stored.
const load = () =>
  import(process.getBuiltinModule("node:url").pathToFileURL(`${process.cwd()}/components/modelProvider.ts`).href);

const provider: pulumi.dynamic.ResourceProvider = {
  check: async (olds, news) => (await load()).check(olds, news),
  diff: async (id, olds, news) => (await load()).diff(id, olds, news),
  create: async (inputs) => (await load()).create(inputs),
  read: async (id, state) => (await load()).read(id, state),
  update: async (id, olds, news) => (await load()).update(id, olds, news),
};

/**
 * A model file that upstream serves with exactly the pinned bytes: `up` fails otherwise, and refresh reports when
 * upstream replaces or removes it. Deleting it deletes nothing; verified files stay in the user's cache.
 */
export class ModelChecksum extends pulumi.dynamic.Resource {
  declare readonly title: pulumi.Output<string>;
  declare readonly urls: pulumi.Output<string[]>;
  declare readonly file: pulumi.Output<string>;
  /** The verified sha256, in lower case. */
  declare readonly sha256: pulumi.Output<string>;
  /** The sha256 of the bytes as served, before decompression. */
  declare readonly downloadSha256: pulumi.Output<string>;
  /** Of the decompressed file. */
  declare readonly sizeBytes: pulumi.Output<number>;
  /** The mirror that served it, without secrets. */
  declare readonly url: pulumi.Output<string>;
  /** Empty where the server sends none. */
  declare readonly etag: pulumi.Output<string>;
  /** Empty where the server sends none that is exact. */
  declare readonly lastModified: pulumi.Output<string>;
  /** Set by refresh: in what way upstream no longer serves the pinned file. Empty when it does. */
  declare readonly drift: pulumi.Output<string>;

  constructor(name: string, args: ModelChecksumArgs, opts?: pulumi.CustomResourceOptions) {
    const urls = pulumi.output(args.urls).apply((all) => (all?.some?.(hasSecret) ? pulumi.secret(all) : all));
    const outputs: Record<Exclude<keyof State, keyof Inputs>, undefined> = {
      downloadSha256: undefined,
      sizeBytes: undefined,
      url: undefined,
      etag: undefined,
      lastModified: undefined,
      drift: undefined,
    };
    const token = args.token === undefined ? {} : { token: pulumi.secret(args.token) };
    super(provider, name, { title: name, ...args, ...token, urls, ...outputs }, opts, "facecraft", "ModelChecksum");
  }
}
