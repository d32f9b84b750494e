import { readConfig } from "./components/config.ts";
import { readDockerfile } from "./components/dockerfile.ts";
import { FacecraftImage } from "./components/facecraftImage.ts";
import { ModelChecksum } from "./components/modelChecksum.ts";
import { forEachModel } from "./components/models.ts";
import { planRelease } from "./components/plan.ts";
import { checkReachable } from "./components/preflight.ts";
import { resolveSource } from "./components/source.ts";
import { variants } from "./components/variants.ts";

// What to build: the stack's config, the pins in the variant's Dockerfile, and the commit of the application.
const config = readConfig();
await checkReachable(config);
const dockerfile = readDockerfile(variants[config.variant].dockerfile);
const source = await resolveSource(config.source, dockerfile.ignoreFile);
const plan = planRelease(config, dockerfile, source);

// Every model is downloaded and compared with its pin, and then the image is built, proven and published.
const checksums = forEachModel((name) => new ModelChecksum(name, plan.models[name]));
const image = new FacecraftImage("facecraft", { ...plan, checksums });

// The hand-over to deploy stacks.
export const { imageRef, digest, tags, labels, packages } = image;
export const { variant, version, revision, torchIndexUrl, healthcheck } = plan;
export const models = forEachModel((name) => {
  const { file, url, sha256, sizeBytes } = checksums[name];
  return { file, url, sha256, sizeBytes };
});
