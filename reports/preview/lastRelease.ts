import { sbomOf } from "../../attest/sbom.ts";
import { label } from "../../plan/naming.ts";
import { readFacts } from "../../registry/facts.ts";
import { readConfig } from "../../registry/imageConfig.ts";
import { onePlatform } from "../../registry/platforms.ts";
import { parseReference, splitReference } from "../../registry/references.ts";
import { Repository } from "../../registry/repository.ts";
import { askPublished } from "../../registry/tags.ts";
import { hasScanner, type Scanned, scan } from "../vulnerabilities.ts";
import { fields, plannedTags } from "./changes.ts";
import type { Plan } from "./events.ts";
import { lastProof } from "./proof.ts";
import type { LastRelease } from "./shape.ts";

/** Finds out about the last release, from the stack's state and from the registry, which is asked without a login of ours. */
export async function lastRelease(plan: Plan): Promise<LastRelease> {
  const stack = plan.steps.find(({ type }) => type === "pulumi:pulumi:Stack");
  if (stack === undefined) {
    return { isKnown: false, answers: [] };
  }
  const { imageRef, digest, tags } = fields(stack.before?.outputs);
  if (typeof imageRef === "string" && imageRef !== "" && typeof digest === "string") {
    const { repository } = splitReference(imageRef);
    const names = Array.isArray(tags) ? tags.flatMap((tag) => splitReference(String(tag)).tag ?? []) : [];
    const answers = await askPublished({ repository, tags: names, digest });
    const { compressedBytes, note } = await described(imageRef);
    const proof = lastProof(plan);
    const vulnerabilities = await knownVulnerabilities(imageRef);
    return {
      isKnown: true,
      imageRef,
      answers,
      ...(proof && { proof }),
      ...(vulnerabilities && { vulnerabilities }),
      ...(compressedBytes !== undefined && { compressedBytes }),
      ...(note !== undefined && { note }),
    };
  }
  // Without state (a fork's pull request), the moving tag in the registry is the best that there is to compare with.
  const moving = plannedTags(plan)[0];
  if (!moving) {
    return { isKnown: true, answers: [] };
  }
  const { labels, note } = await described(moving);
  const [revision, version] = ["revision", "version"].map((key) => labels?.[label(key)]);
  return {
    isKnown: true,
    answers: [],
    ...(labels && { published: { reference: moving, ...(revision && { revision }), ...(version && { version }) } }),
    ...(note !== undefined && { note }),
  };
}

/** Of an image that says what it is made of. A preview exports nothing, so the next one cannot be looked at. */
async function knownVulnerabilities(imageRef: string): Promise<Scanned | undefined> {
  if (!(await hasScanner())) {
    return undefined;
  }
  try {
    const [scanned] = (await scan([sbomOf(await readFacts(imageRef))])) ?? [];
    return scanned;
  } catch (error) {
    // A registry that does not answer, or an image of an earlier version.
    return { scanner: "the scanner", trouble: error instanceof Error ? error.message : String(error) };
  }
}

interface Described {
  compressedBytes?: number;
  labels?: Record<string, string>;
  note?: string;
}

async function described(reference: string): Promise<Described> {
  try {
    const { repository: name, exact } = parseReference(reference);
    const repository = new Repository(name);
    const image = await onePlatform(repository, exact);
    const compressedBytes = (image.manifest.layers ?? []).reduce((sum, { size }) => sum + size, 0);
    const { config } = await readConfig(repository, image);
    return { compressedBytes, labels: config?.Labels ?? {} };
  } catch (error) {
    return { note: error instanceof Error ? error.message : String(error) };
  }
}
