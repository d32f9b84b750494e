import { readFileSync } from "node:fs";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { type ModelName, modelNames } from "../plan/models.ts";
import { tagStem } from "../plan/naming.ts";
import type { ReleasePlan } from "../plan/plan.ts";
import { expectedProof, proofRemarks } from "../plan/proof.ts";
import { type ProofOutput, readSaid } from "../plan/proven.ts";
import type { Credentials } from "../registry/login.ts";
import type { Expectation } from "../registry/published.ts";
import { explainFailure } from "./imageFailure.ts";
import type { ModelChecksum } from "./modelChecksum.ts";
import { PublishedTags } from "./publishedTags.ts";

export interface FacecraftImageArgs extends ReleasePlan {
  /** The verified models; nothing is published before each of them matches its pin. */
  checksums: Record<ModelName, ModelChecksum>;
  /** Location of the Dockerfiles' scripts, the named build context `scripts`. */
  scriptsContext: string;
}

/**
 * A Facecraft image of one variant, proven and then published.
 *
 * The **proof** is built on previews too: same Dockerfile, same inputs, the target that runs every check, nothing
 * exported. It waits for nothing, because the build verifies every model by itself: on a first release the builder and
 * ModelChecksum download at the same time. The **release** has the tags; its suffix is unknown before an update, so a
 * preview could not build it. It depends on the proof and on every ModelChecksum, and takes all of its layers from the
 * proof's cache.
 */
export class FacecraftImage extends pulumi.ComponentResource {
  /** `repository:tag@digest`, with the immutable tag; empty when nothing was pushed. */
  readonly imageRef: pulumi.Output<string>;
  /** `sha256:<64 hex digits>`; empty when nothing was pushed. */
  readonly digest: pulumi.Output<string>;
  /** The moving and the immutable tag, each as `repository:tag`. */
  readonly tags: pulumi.Output<string[]>;
  readonly labels: Record<string, string>;
  /** Where torch came from; secret where the stack's config keeps it so. */
  readonly torchIndexUrl: pulumi.Output<string>;
  /** What the published image says of its own proof; without any key when nothing was pushed. */
  readonly proof: pulumi.Output<Partial<ProofOutput>>;

  constructor(name: string, args: FacecraftImageArgs, options?: pulumi.ComponentResourceOptions) {
    // What is asked of the proof stands in the plan as it is, for people and for the report on a preview.
    super("facecraft:index:FacecraftImage", name, { proof: args.proof }, options);
    const parent = { parent: this };
    const build = buildInputs(args);
    if (args.uncommitted.length > 0) {
      const all = args.uncommitted.join(", ");
      pulumi.log.warn(`The application differs from its commit, so its revision is ${args.revision}: ${all}`, this);
    }
    for (const { severity, message } of proofRemarks(args.proof)) {
      pulumi.log[severity](message, this);
    }

    const { repository, builder } = args;
    const explained = explainFailure(name, { repository, builder, credentials: credentialsOf(args) });
    const proof = new docker.Image(
      `${name}-proof`,
      { ...build, target: "proof", exports: [{ cacheonly: {} }], buildOnPreview: true },
      { ...parent, ...explained },
    );

    // Whatever the release waits for, its suffix waits for too: one that is drawn for a release that fails is worn out, and
    // the release before it, restored, would come back under another tag.
    const proven = { ...parent, dependsOn: [proof, ...modelNames.map((model) => args.checksums[model])] };
    const suffix = new random.RandomId(
      `${name}-suffix`,
      { byteLength: 4, keepers: keepersOf(args, proof.contextHash) },
      proven,
    );
    const moving = args.variant;
    const immutable = pulumi.interpolate`${tagStem(args)}-${suffix.hex}`;

    const release = new docker.Image(
      `${name}-release`,
      {
        ...build,
        target: "release",
        tags: [`${args.repository}:${moving}`, pulumi.interpolate`${args.repository}:${immutable}`],
        labels: args.labels,
        exports: [args.push ? { raw: registryExport } : { cacheonly: {} }],
        ...(args.push &&
          args.cacheRepository && { cacheTo: [{ registry: { ref: cacheRef(args), mode: "max" as const } }] }),
        buildOnPreview: false,
      },
      // What a deploy stack may run stays in the registry, whatever this stack does next.
      { ...proven, ...explained, retainOnDelete: true },
    );

    this.proof = args.push
      ? checkPublished(name, args, moving, immutable, release, this)
      : pulumi.output<Partial<ProofOutput>>({});
    this.digest = args.push ? release.digest : pulumi.output("");
    this.imageRef = args.push
      ? pulumi.interpolate`${args.repository}:${immutable}@${release.digest}`
      : pulumi.output("");
    this.tags = pulumi.output([`${args.repository}:${moving}`, pulumi.interpolate`${args.repository}:${immutable}`]);
    this.labels = args.labels;
    this.torchIndexUrl = pulumi.output(kept(args, "TORCH_INDEX_URL", args.torchIndexUrl));
    this.registerOutputs({
      imageRef: this.imageRef,
      digest: this.digest,
      tags: this.tags,
      labels: this.labels,
      proof: this.proof,
    });
  }
}

/**
 * Compares what the registry has with what was asked for, as soon as it is pushed, and watches over its tags.
 *
 * @returns what the image says of its own proof
 */
function checkPublished(
  name: string,
  args: FacecraftImageArgs,
  moving: string,
  immutable: pulumi.Input<string>,
  release: docker.Image,
  parent: pulumi.Resource,
): pulumi.Output<Partial<ProofOutput>> {
  const expectation: pulumi.Input<Expectation> = pulumi.output({
    repository: args.repository,
    tags: [moving, immutable],
    digest: release.digest,
    labels: args.labels,
    models: Object.fromEntries(modelNames.map((model) => [args.models[model].file, args.models[model].sha256])),
    healthcheck: args.healthcheck,
    user: "1000:1000",
    platforms: [...args.platforms],
    proof: expectedProof(args.proof),
  });
  const { username, password } = credentialsOf(args) ?? {};
  const settled = new PublishedTags(
    `${name}-tags`,
    {
      repository: args.repository,
      moving,
      immutable,
      digest: release.digest,
      ...(username && password && { username, password: pulumi.secret(password) }),
    },
    { parent, dependsOn: release },
  );
  const { stdout } = new command.local.Command(
    `${name}-published`,
    {
      // With the system's CAs, which are those that the builder has pushed with.
      create: "node --use-system-ca scripts/verify-published.ts",
      environment: {
        EXPECTED: pulumi.jsonStringify(expectation),
        ...(username && password && { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: pulumi.secret(password) }),
      },
    },
    { parent, dependsOn: [release, settled] },
  );
  // With a password among its inputs, the command's outputs are secret. Everyone who can pull the image can read this one.
  return pulumi.unsecret(stdout).apply((text) => readSaid(text).proof ?? {});
}

function credentialsOf({ registryAuth }: FacecraftImageArgs): Credentials | undefined {
  const { username, password } = registryAuth ?? {};
  return username && password ? { username, password } : undefined;
}

// Not `push: true`: with it, every preview skips its build. Media types are named because BuildKit's default varies.
const registryExport = "type=registry,oci-mediatypes=true";

function cacheRef(args: FacecraftImageArgs): string {
  return `${args.cacheRepository}:buildcache-${args.variant}`;
}

/** What the proof and the release have in common, all of it known at preview. */
function buildInputs(args: FacecraftImageArgs) {
  return {
    push: false,
    context: {
      location: "docker",
      named: { app: { location: kept(args, "app", args.appContext) }, scripts: { location: args.scriptsContext } },
    },
    dockerfile: { location: args.dockerfile },
    buildArgs: keptArgs(args),
    platforms: args.platforms as docker.Platform[],
    ...(args.builder && { builder: { name: args.builder } }),
    ...(args.cacheRepository && { cacheFrom: [{ registry: { ref: cacheRef(args) } }] }),
    ...(args.registryAuth && {
      registries: [{ ...args.registryAuth, password: pulumi.secret(args.registryAuth.password) }],
    }),
    ...secretsOf(args),
  };
}

function keptArgs(args: FacecraftImageArgs): Record<string, pulumi.Input<string>> {
  return Object.fromEntries(Object.entries(args.buildArgs).map(([name, value]) => [name, kept(args, name, value)]));
}

/** What the stack's config keeps secret stays secret in plans, states and outputs. */
function kept({ secretValues }: FacecraftImageArgs, name: string, value: string): pulumi.Input<string> {
  return secretValues.includes(name) ? pulumi.secret(value) : value;
}

/** Whom a download trusts, and who asks, decides whether it works, not what the image is made of: the pins do that. */
function secretsOf({ caBundle, buildSecrets }: FacecraftImageArgs) {
  const secrets: Record<string, pulumi.Input<string>> = {
    ...(caBundle && { ca_bundle: readFileSync(caBundle, "utf8") }),
    ...Object.fromEntries(Object.entries(buildSecrets).map(([name, value]) => [name, pulumi.secret(value)])),
  };
  return Object.keys(secrets).length > 0 && { secrets, ignoreSecretsInDiffCalculation: Object.keys(secrets) };
}

/**
 * Everything that the release is made of. A change of any of these makes another suffix, so that an immutable tag never
 * comes to mean other bytes.
 */
function keepersOf(args: FacecraftImageArgs, contextHash: pulumi.Output<string>): Record<string, pulumi.Input<string>> {
  return {
    ...keptArgs(args),
    ...args.labels,
    app: kept(args, "app", args.appContext),
    scripts: args.scriptsContext,
    context: contextHash,
    platforms: args.platforms.join(","),
  };
}
