// `make reproduce`: builds an image again from the same commit with the same pins and packages, in an empty cache and without
// pushing it, and compares it layer by layer with what is in the registry.
//   node scripts/reproduce.ts REFERENCE, with in the environment:
//   BUILDKIT_HOST  the builder, as buildctl has it        SOURCE     the application's folder, where its provenance names no URL
//   KEY, or IDENTITY and ISSUER: whose provenance counts  CA_BUNDLE  a PEM file that downloads trust
//   STACK_FILE     the config of its stack, where the image has no provenance
//   DOWNLOADS=kept takes what the builder has downloaded already, such as wheels
// What was kept secret of the build args is read from the environment, under their names. Ends with 1 when a layer differs that
// should not.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ActionableError } from "../artifacts/errors.ts";
import { readUnverified } from "../attest/attached.ts";
import { type ParsedProvenance, parseProvenance } from "../attest/provenance.ts";
import { verifyRelease } from "../attest/verify.ts";
import { readDockerfile } from "../plan/dockerfile.ts";
import { snapshotScripts } from "../plan/snapshot.ts";
import { flavours } from "../plan/variants.ts";
import { parseContents } from "../registry/contents.ts";
import { type ImageFacts, readFacts } from "../registry/facts.ts";
import { type ImageConfig, instructionsOf, readConfig } from "../registry/imageConfig.ts";
import { readEntries } from "../registry/layerEntries.ts";
import { type Documents, documentPaths, readLayer } from "../registry/layers.ts";
import type { Descriptor } from "../registry/manifests.ts";
import { Repository } from "../registry/repository.ts";
import { titleOf } from "../reports/image/summary.ts";
import { isReproduced, judgeLayer, type LayerOf, type Verdict } from "../reports/reproduced.ts";
import { buildAgain, Layout } from "./reproduce/builder.ts";
import { applicationOf, checkOut } from "./reproduce/places.ts";
import { argsAgain } from "./reproduce/recipe.ts";
import { fromStackConfig } from "./reproduce/stack.ts";
import { trustOf } from "./trust.ts";

async function main([reference = ""]: string[]): Promise<number> {
  if (reference === "") {
    throw new ActionableError(
      "Which image? Give its reference, as the output imageRef has it: make reproduce IMAGE=...",
    );
  }
  const facts = await readFacts(reference);
  const stated = await provenanceOf(facts);
  const work = await mkdtemp(join(tmpdir(), "facecraft-again-"));
  try {
    const layout = join(work, "image");
    for (const remark of await build(facts, stated, work, layout)) {
      console.log(remark);
    }
    const verdicts = await compare(facts, new Layout(layout));
    for (const { title, digest, state, why } of verdicts) {
      console.log(`${state.padEnd(16)}  ${digest.slice(7, 19)}  ${title}${why && `. ${why}`}`);
    }
    const equal = verdicts.filter(({ state }) => state === "equal").length;
    const all = isReproduced(verdicts) ? "All that can be the same is the same" : "It is not the same image";
    console.log(`${equal} of ${verdicts.length} layers of ${facts.repository}@${facts.digest} are equal. ${all}.`);
    return isReproduced(verdicts) ? 0 : 1;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What the image was made of: signed, where it is said by whom; else as it lies there, because equal layers prove it. */
async function provenanceOf(facts: ImageFacts): Promise<ParsedProvenance> {
  const { repository, digest } = facts;
  const image = `${repository}@${digest}`;
  const trust = trustOf(process.env);
  if (trust) {
    const { stated } = await verifyRelease(image, { trust, flavours });
    return stated as ParsedProvenance;
  }
  const predicate = (await readUnverified(repository, digest, "slsaprovenance1")).at(-1);
  if (predicate !== undefined) {
    return parseProvenance(predicate);
  }
  const { STACK_FILE: file = "" } = process.env;
  if (file === "") {
    throw new ActionableError(
      `${image} has no provenance attached, which would say what it was built with; set facecraft:signing and run \`pulumi up\`, ` +
        "or name the config of its stack as STACK_FILE=...",
    );
  }
  console.log(`It has no provenance, so it is built with the config of its stack, as ${file} has it now.`);
  return fromStackConfig(file, facts);
}

/** @returns remarks, one sentence each */
async function build(facts: ImageFacts, stated: ParsedProvenance, work: string, into: string): Promise<string[]> {
  const { args, remarks } = argsAgain(stated.buildArgs, facts.record, process.env);
  const own = await dockerfileOf(stated, work);
  const source = process.env.SOURCE || (stated.source === "." ? "app" : stated.source);
  const application = await applicationOf(stated.revision, source, readDockerfile(own.dockerfile), join(work, "app"));
  const { CA_BUNDLE: caBundle, DOWNLOADS } = process.env;
  const namespace = DOWNLOADS === "kept" ? "" : `again-${randomBytes(4).toString("hex")}`;
  const { labels, platform } = facts;
  await buildAgain({ ...own, application, args, labels, platform, caBundle }, into, namespace);
  return [...remarks, ...own.remarks];
}

/** The Dockerfile and its scripts: those of this checkout where they are the ones, else those of the commit that has them. */
async function dockerfileOf(
  { dockerfile: { path, sha256 }, scriptsSha256, program: { commit } }: ParsedProvenance,
  work: string,
): Promise<{ dockerfile: string; scripts: string; remarks: string[] }> {
  const isOurs = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex") === sha256;
  const scripts = await snapshotScripts();
  if (isOurs(path) && scripts.digest === scriptsSha256) {
    return { dockerfile: path, scripts: scripts.context, remarks: [] };
  }
  const checkout = join(work, "program");
  await checkOut(".", commit, "docker", checkout);
  const dockerfile = join(checkout, path);
  const remark = isOurs(dockerfile)
    ? `Built with the Dockerfile and the scripts of commit ${commit}, which are others than here.`
    : `${path} is neither here nor at commit ${commit} the one of the image (sha256 ${sha256}).`;
  return { dockerfile, scripts: join(checkout, "docker/scripts"), remarks: [remark] };
}

async function compare(facts: ImageFacts, layout: Layout): Promise<Verdict[]> {
  const repository = new Repository(facts.repository);
  const found = await repository.manifest(facts.manifestDigest);
  const [config, again] = await Promise.all([readConfig(repository, found), layout.image()]);
  const [one, other] = [layersOf(found.manifest.layers, config), layersOf(again.manifest.layers, again.config)];
  const last = other.at(-1);
  const documents: Documents = new Map();
  if (last) {
    await readLayer(layout.stream(last.digest), last, documents);
  }
  const text = documents.get(documentPaths.contents);
  const contents = { original: facts.contents, again: text === undefined ? undefined : parseContents(text, "It") };
  const verdicts: Verdict[] = [];
  for (const [index, layer] of one.entries()) {
    const twin = other[index];
    const inside =
      twin && twin.diffId !== layer.diffId
        ? {
            original: await readEntries(repository.stream(layer), layer.mediaType),
            again: await readEntries(layout.stream(twin.digest), twin.mediaType),
          }
        : undefined;
    verdicts.push(judgeLayer(titleOf(layer.madeBy, index), layer, twin, inside, contents));
  }
  return verdicts;
}

function layersOf(layers: readonly Descriptor[] = [], config: ImageConfig): (LayerOf & Descriptor)[] {
  const instructions = instructionsOf(config);
  return layers.map((layer, index) => ({
    ...layer,
    diffId: config.rootfs?.diff_ids?.[index] ?? "",
    madeBy: instructions[index] ?? "",
  }));
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof ActionableError)) {
    throw error;
  }
  console.error(error.message);
  return 1;
});
