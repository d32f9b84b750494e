import { readFileSync } from "node:fs";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ModelChecksum } from "./modelChecksum.ts";
import { type ModelName, modelNames } from "./models.ts";
import { type ReleasePlan, tagStem } from "./plan.ts";
import type { Expectation } from "./published.ts";

export interface FacecraftImageArgs extends ReleasePlan {
  /** The verified models; nothing is built before each of them matches its pin. */
  checksums: Record<ModelName, ModelChecksum>;
}

/**
 * A Facecraft image of one variant, proven and then published.
 *
 * The **proof** is built on previews too: same Dockerfile, same inputs, the target that runs every check, nothing
 * exported. The **release** has the tags; its suffix is unknown before an update, so a preview could not build it. It
 * depends on the proof and takes all of its layers from the proof's cache.
 */
export class FacecraftImage extends pulumi.ComponentResource {
  /** `repository:tag@digest`, with the immutable tag; empty when nothing was pushed. */
  readonly imageRef: pulumi.Output<string>;
  /** `sha256:<64 hex digits>`; empty when nothing was pushed. */
  readonly digest: pulumi.Output<string>;
  /** The moving and the immutable tag, each as `repository:tag`. */
  readonly tags: pulumi.Output<string[]>;
  readonly labels: Record<string, string>;
  /** Versions of the Python packages by name, from the record that the proof left in the image; empty without a push. */
  readonly packages: pulumi.Output<{ [name: string]: string }>;

  constructor(name: string, args: FacecraftImageArgs, options?: pulumi.ComponentResourceOptions) {
    super("facecraft:index:FacecraftImage", name, {}, options);
    const parent = { parent: this };
    const build = buildInputs(args);

    const proof = new docker.Image(
      `${name}-proof`,
      { ...build, target: "proof", exports: [{ cacheonly: {} }], buildOnPreview: true },
      { ...parent, dependsOn: modelNames.map((model) => args.checksums[model]) },
    );

    const suffix = new random.RandomId(
      `${name}-suffix`,
      { byteLength: 4, keepers: keepersOf(args, proof.contextHash) },
      parent,
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
      { ...parent, dependsOn: proof, retainOnDelete: true },
    );

    const record = args.push ? checkPublished(name, args, [moving, immutable], release, this) : pulumi.output("{}");

    this.packages = record.apply((text) => JSON.parse(text).packages ?? {}) as typeof this.packages;
    this.digest = args.push ? release.digest : pulumi.output("");
    this.imageRef = args.push
      ? pulumi.interpolate`${args.repository}:${immutable}@${release.digest}`
      : pulumi.output("");
    this.tags = pulumi.output([`${args.repository}:${moving}`, pulumi.interpolate`${args.repository}:${immutable}`]);
    this.labels = args.labels;
    this.registerOutputs({
      imageRef: this.imageRef,
      digest: this.digest,
      tags: this.tags,
      labels: this.labels,
      packages: this.packages,
    });
  }
}

/**
 * Compares what the registry has with what was asked for, as soon as it is pushed.
 *
 * @returns the record that the proof left in the image, as JSON
 */
function checkPublished(
  name: string,
  args: FacecraftImageArgs,
  tags: pulumi.Input<string>[],
  release: docker.Image,
  parent: pulumi.Resource,
): pulumi.Output<string> {
  const expectation: pulumi.Input<Expectation> = pulumi.output({
    repository: args.repository,
    tags,
    digest: release.digest,
    labels: args.labels,
    models: Object.fromEntries(modelNames.map((model) => [args.models[model].file, args.models[model].sha256])),
    healthcheck: args.healthcheck,
    user: "1000:1000",
  });
  const { username, password } = args.registryAuth ?? {};
  const check = new command.local.Command(
    `${name}-published`,
    {
      // With the system's CAs, which are those that the builder has pushed with.
      create: "node --use-system-ca components/verify-published.ts",
      environment: {
        EXPECTED: pulumi.jsonStringify(expectation),
        ...(username && password && { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: pulumi.secret(password) }),
      },
    },
    { parent, dependsOn: release },
  );
  return check.stdout;
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
    context: { location: "docker", named: { app: { location: args.appContext } } },
    dockerfile: { location: args.dockerfile },
    buildArgs: args.buildArgs,
    ...(args.platforms.length > 0 && { platforms: args.platforms as docker.Platform[] }),
    ...(args.builder && { builder: { name: args.builder } }),
    ...(args.cacheRepository && { cacheFrom: [{ registry: { ref: cacheRef(args) } }] }),
    ...(args.registryAuth && {
      registries: [{ ...args.registryAuth, password: pulumi.secret(args.registryAuth.password) }],
    }),
    ...(args.caBundle && {
      secrets: { ca_bundle: readFileSync(args.caBundle, "utf8") },
      // Whom a download trusts decides whether it works, not what the image is made of: the pins do that.
      ignoreSecretsInDiffCalculation: ["ca_bundle"],
    }),
  };
}

/**
 * Everything that the release is made of. A change of any of these makes another suffix, so that an immutable tag never
 * comes to mean other bytes.
 */
function keepersOf(args: FacecraftImageArgs, contextHash: pulumi.Output<string>): Record<string, pulumi.Input<string>> {
  return {
    ...args.buildArgs,
    ...args.labels,
    app: args.appContext,
    context: contextHash,
    platforms: args.platforms.join(","),
  };
}
