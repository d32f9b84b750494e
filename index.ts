import { FacecraftImage } from "./components/facecraftImage.ts";
import { ModelChecksum } from "./components/modelChecksum.ts";
import { isSecret, readConfig } from "./plan/config.ts";
import { readDockerfile } from "./plan/dockerfile.ts";
import { planGpu } from "./plan/gpu.ts";
import { forEachModel } from "./plan/models.ts";
import { planRelease } from "./plan/plan.ts";
import { checkReachable, openSigner } from "./plan/preflight.ts";
import { planProvenance } from "./plan/provenance.ts";
import { snapshotScripts } from "./plan/snapshot.ts";
import { resolveSource } from "./plan/source.ts";
import { variants } from "./plan/variants.ts";

// What to build: the stack's config, the pins in the variant's Dockerfile, and the commit of the application.
const config = readConfig();
const dockerfile = readDockerfile(variants[config.variant].dockerfile);
const [source, scripts, onGpu, publicKey] = await Promise.all([
  resolveSource(config.source, dockerfile),
  snapshotScripts(),
  checkReachable(config).then(() => planGpu(config, dockerfile)),
  openSigner(config),
]);
const plan = planRelease(config, dockerfile, source, isSecret, onGpu);
const signing = plan.signer && {
  signer: plan.signer,
  madeFrom: await planProvenance(plan, scripts.digest),
  publicKey,
};

// Every model is downloaded and compared with its pin, while the image is built and proven. Then it is published, and signed.
const checksums = forEachModel((name) => new ModelChecksum(name, plan.models[name]));
const image = new FacecraftImage("facecraft", {
  ...plan,
  checksums,
  scriptsContext: scripts.context,
  signing,
});

// The hand-over to deploy stacks.
export const { imageRef, digest, tags, labels, torchIndexUrl, proof, signature, sbom, provenance } = image;
export const { variant, version, revision, healthcheck } = plan;
export const models = forEachModel((name) => {
  const { file, url, sha256, sizeBytes } = checksums[name];
  return { file, url, sha256, sizeBytes };
});
