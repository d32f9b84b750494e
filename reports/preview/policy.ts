import { type VerifiedModel, value, viewImage } from "../../policy/image.ts";
import { applies, isUndecided, judge, rules } from "../../policy/rules.ts";
import { imageType } from "./changes.ts";
import type { PackViolation, Plan } from "./events.ts";
import { isModel } from "./models.ts";
import type { PolicyResult } from "./shape.ts";

/** Applies the rules to the images of a preview, and adds what policy packs found. */
export function applyPolicy(plan: Plan, allowedRegistries: readonly string[]): PolicyResult {
  const verified: VerifiedModel[] = plan.steps
    .filter(isModel)
    .map(({ name, after }) => ({ name, sha256: value(after?.inputs.sha256) }));
  const images = plan.steps
    .filter(({ type, op, after }) => type === imageType && op !== "delete" && after)
    .map(({ name, after }) => viewImage(name, after?.inputs ?? {}, after?.retainOnDelete));
  const seen = images
    .flatMap((image) => judge(image, { verified, allowedRegistries }))
    .map(({ rule, image, message }) => ({ rule, resource: image, message, mandatory: true }));
  const key = ({ rule, resource, message }: PackViolation) => `${rule} ${resource} ${message}`;
  const violations = [...new Map([...plan.violations, ...seen].map((item) => [key(item), item])).values()];
  const isBroken = (name: string) => violations.some(({ rule }) => rule === name);
  const applied = rules.map((rule) => ({ rule, to: images.filter((image) => applies(rule, image)) }));
  return {
    rules: rules.length,
    images: images.map(({ name }) => name),
    undecided: applied
      .filter(({ rule, to }) => !isBroken(rule.name) && to.some((image) => isUndecided(rule, image)))
      .map(({ rule }) => rule.name),
    notApplied: applied.filter(({ rule, to }) => !isBroken(rule.name) && to.length === 0).map(({ rule }) => rule.name),
    appliedBy: appliedBy(
      plan,
      images.map(({ name }) => name),
    ),
    violations,
  };
}

function appliedBy({ packs, judgedByPacks }: Plan, images: readonly string[]): string {
  if (packs.length === 0) {
    return "to what the preview shows (no policy pack ran)";
  }
  const names = `policy pack ${packs.join(", ")}`;
  return images.every((name) => judgedByPacks.includes(name))
    ? `by the engine (${names}) and to the preview`
    : `to what the preview shows (${names} was not asked about every image)`;
}
