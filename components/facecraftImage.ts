import { readFileSync } from "node:fs";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Signer } from "../attest/cosign.ts";
import type { ProvenanceInputs } from "../attest/provenance.ts";
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
import { ReleaseSignature } from "./releaseSignature.ts";

export interface FacecraftImageArgs extends ReleasePlan {
  /** The verified models; nothing is published before each of them matches its pin. */
  checksums: Record<ModelName, ModelChecksum>;
  /** Location of the Dockerfiles' scripts, the named build context `scripts`. */
  scriptsContext: string;
  /** Without, the release is not signed. */
  signing?: Signing | undefined;
}

export interface Signing {
  signer: Signer;
  /** What the provenance says of how the release came about. */
  madeFrom: ProvenanceInputs;
  /** Of the signer's key (PEM), where it was opened. */
  publicKey?: string | undefined;
}

/**
 * A Facecraft image of one variant, proven and then published.
 *
 * The **proof** is built on previews too: same Dockerfile, same inputs, the target that runs every check, nothing
 * exported. It waits for nothing, because the build verifies every model by itself: on a first release the builder and
 * ModelChecksum download at the same time. The **release** has the tags; its suffix is unknown before an update, so a
 * preview could not build it. It depends on the proof and on every ModelChecksum, and takes all of its layers from the
 * proof's cache.
 *
 * A **signed** release is pushed under its immutable tag alone. What is in the registry is compared with what was asked for,
 * then signed; and only then the moving tag and the outputs name it. So where signing fails, they name the release before.
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
  /** `repository@sha256:...` of what is attached to the image; empty where it is not signed. */
  readonly signature: pulumi.Output<string>;
  readonly sbom: pulumi.Output<string>;
  readonly provenance: pulumi.Output<string>;

  constructor(name: string, args: FacecraftImageArgs, options?: pulumi.ComponentResourceOptions) {
    const isSigned = args.push && args.signing !== undefined;
    // What is asked of the proof, and whether of a signature, stands in the plan as it is, for people, the report on a preview and
    // the policy.
    super("facecraft:index:FacecraftImage", name, { proof: args.proof, signed: isSigned }, options);
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
    const tags = [`${args.repository}:${moving}`, pulumi.interpolate`${args.repository}:${immutable}`];

    const release = new docker.Image(
      `${name}-release`,
      {
        ...build,
        target: "release",
        tags: isSigned ? tags.slice(1) : tags,
        labels: args.labels,
        exports: [args.push ? { raw: registryExport } : { cacheonly: {} }],
        ...(args.push && args.cacheRepository && { cacheTo: [{ registry: { ...cacheWriting, ref: cacheRef(args) } }] }),
        buildOnPreview: false,
      },
      // What a deploy stack may run stays in the registry, whatever this stack does next.
      { ...proven, ...explained, retainOnDelete: true },
    );

    const published = args.push ? publish(name, args, { moving, immutable, release }, this) : unpublished;
    this.digest = published.digest;
    this.imageRef = args.push
      ? pulumi.interpolate`${args.repository}:${immutable}@${published.digest}`
      : pulumi.output("");
    this.proof = published.proof;
    this.signature = published.signature;
    this.sbom = published.sbom;
    this.provenance = published.provenance;
    this.tags = pulumi.output(tags);
    this.labels = args.labels;
    this.torchIndexUrl = pulumi.output(kept(args, "TORCH_INDEX_URL", args.torchIndexUrl));
    this.registerOutputs({
      imageRef: this.imageRef,
      digest: this.digest,
      tags: this.tags,
      labels: this.labels,
      proof: this.proof,
      signature: this.signature,
      sbom: this.sbom,
      provenance: this.provenance,
    });
  }
}

type Published = Pick<FacecraftImage, "digest" | "proof" | "signature" | "sbom" | "provenance">;

const nothing = pulumi.output("");

const unsigned = { signature: nothing, sbom: nothing, provenance: nothing };

const unpublished: Published = { digest: nothing, proof: pulumi.output({}), ...unsigned };

interface Release {
  moving: string;
  immutable: pulumi.Output<string>;
  release: docker.Image;
}

/**
 * Compares what the registry has with what was asked for, as soon as it is pushed, and watches over its tags. What is signed is
 * signed in between.
 */
function publish(
  name: string,
  args: FacecraftImageArgs,
  { moving, immutable, release }: Release,
  parent: pulumi.Resource,
): Published {
  const { repository, signing } = args;
  const { digest } = release;
  const login = loginOf(args);
  const settle = (...dependsOn: pulumi.Resource[]) =>
    new PublishedTags(
      `${name}-tags`,
      { repository, moving, immutable, digest, ...login },
      { parent, dependsOn: [release, ...dependsOn] },
    );
  const compare = (tags: pulumi.Input<string>[], ...dependsOn: pulumi.Resource[]) =>
    comparePublished(name, args, { tags, digest }, { parent, dependsOn: [release, ...dependsOn] });
  if (signing === undefined) {
    const { proof } = compare([moving, immutable], settle());
    return { digest, proof, ...unsigned };
  }
  const { signer, publicKey, madeFrom } = signing;
  const { compared, proof } = compare([immutable]);
  const signed = new ReleaseSignature(
    `${name}-signature`,
    {
      repository,
      digest,
      key: "key" in signer ? signer.key : "",
      ...("key" in signer && signer.password !== undefined && { keyPassword: signer.password }),
      ...(publicKey !== undefined && { publicKey }),
      madeFrom,
      ...login,
    },
    { parent, dependsOn: compared },
  );
  settle(signed);
  const { signature, sbom, provenance } = signed;
  // Who reads an output shall find the image signed.
  return { digest: pulumi.all([digest, signature]).apply(([of]) => of), proof, signature, sbom, provenance };
}

/** @returns what the image says of its own proof, beside the resource that has read it */
function comparePublished(
  name: string,
  args: FacecraftImageArgs,
  { tags, digest }: { tags: pulumi.Input<string>[]; digest: pulumi.Output<string> },
  options: pulumi.CustomResourceOptions,
): { compared: pulumi.Resource; proof: pulumi.Output<Partial<ProofOutput>> } {
  const expectation: pulumi.Input<Expectation> = pulumi.output({
    repository: args.repository,
    tags,
    digest,
    labels: args.labels,
    models: Object.fromEntries(modelNames.map((model) => [args.models[model].file, args.models[model].sha256])),
    healthcheck: args.healthcheck,
    user: "1000:1000",
    platforms: [...args.platforms],
    proof: expectedProof(args.proof),
  });
  const { username, password } = loginOf(args);
  const compared = new command.local.Command(
    `${name}-published`,
    {
      // With the system's CAs, which are those that the builder has pushed with.
      create: "node --use-system-ca scripts/verify-published.ts",
      environment: {
        EXPECTED: pulumi.jsonStringify(expectation),
        ...(username && password && { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password }),
      },
    },
    options,
  );
  // With a password among its inputs, the command's outputs are secret. Everyone who can pull the image can read this one.
  const proof = pulumi.unsecret(compared.stdout).apply((text) => readSaid(text).proof ?? {});
  return { compared, proof };
}

/** For the registry: as the resources take it. */
function loginOf(args: FacecraftImageArgs): { username?: string; password?: pulumi.Output<string> } {
  const { username, password } = credentialsOf(args) ?? {};
  return username && password ? { username, password: pulumi.secret(password) } : {};
}

function credentialsOf({ registryAuth }: FacecraftImageArgs): Credentials | undefined {
  const { username, password } = registryAuth ?? {};
  return username && password ? { username, password } : undefined;
}

// Not `push: true`: with it, every preview skips its build. Media types are named because BuildKit's default varies.
const registryExport = "type=registry,oci-mediatypes=true";

/**
 * All stages. What is in no layer of the image is compressed for speed, because only builders read it. As an image: without that,
 * the plugin asks for an index whose parts are no manifests, which many a registry refuses.
 */
const cacheWriting = { mode: "max", imageManifest: true, compression: "zstd", compressionLevel: 1 } as const;

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
