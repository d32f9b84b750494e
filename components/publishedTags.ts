import * as pulumi from "@pulumi/pulumi";

export interface PublishedTagsArgs {
  /** Without a tag. */
  repository: pulumi.Input<string>;
  /** The tag that goes from release to release. */
  moving: pulumi.Input<string>;
  /** The tag that is this release's for ever. */
  immutable: pulumi.Input<string>;
  /** `sha256:<64 hex digits>` of what was pushed. */
  digest: pulumi.Input<string>;
  /** Default: the user's own `docker login`. */
  username?: pulumi.Input<string> | undefined;
  password?: pulumi.Input<string> | undefined;
}

// Stored in every state file, as the provider of ModelChecksum is: a few lines that load the real one, from a path that
// must not change.
const load = () =>
  import(process.getBuiltinModule("node:url").pathToFileURL(`${process.cwd()}/components/tagProvider.ts`).href);

const provider: pulumi.dynamic.ResourceProvider = {
  diff: async (id, olds, news) => (await load()).diff(id, olds, news),
  create: async (inputs) => (await load()).create(inputs),
  read: async (id, state) => (await load()).read(id, state),
  update: async (id, olds, news) => (await load()).update(id, olds, news),
};

/**
 * The tags of a release, which name its image: `up` puts them right and says what they named before, and refresh reports
 * when somebody moves or removes them. docker-build's own refresh asks for the digest only. Deleting it deletes nothing.
 */
export class PublishedTags extends pulumi.dynamic.Resource {
  /** Set by refresh: in what way the tags no longer name the release. Empty when they do. */
  declare readonly drift: pulumi.Output<string>;

  constructor(name: string, args: PublishedTagsArgs, opts?: pulumi.CustomResourceOptions) {
    super(provider, name, { ...args, drift: undefined }, opts, "facecraft", "PublishedTags");
  }
}
