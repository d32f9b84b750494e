import { type VerifiedModel, value, viewImage } from "../../policy/image.ts";
import { applies, type Context, isUndecided, judge, type Limits, rules } from "../../policy/rules.ts";
import { imageType } from "./changes.ts";
import type { PackViolation, Plan } from "./events.ts";
import { isModel } from "./models.ts";
import type { PolicyResult } from "./shape.ts";

/**
 * Applies the rules to the images of a preview, and adds what policy packs found, in whose config a rule can weigh more or less.
 *
 * @param readySeconds of the release that stays; absent where there would be another one
 */
export function applyPolicy(plan: Plan, limits: Limits, readySeconds?: number): PolicyResult {
  const verified: VerifiedModel[] = plan.steps
    .filter(isModel)
    .map(({ name, after }) => ({ name, sha256: value(after?.inputs.sha256) }));
  const images = plan.steps
    .filter(({ type, op, after }) => type === imageType && op !== "delete" && after)
    .map(({ name, after }) => viewImage(name, after?.inputs ?? {}, after?.retainOnDelete));
  const context: Context = {
    ...limits,
    verified,
    ...(readySeconds !== undefined && { readySeconds }),
    ...signingIn(plan),
  };
  const seen = images
    .flatMap((image) => judge(image, context))
    .map(({ image, ...violation }) => ({ ...violation, resource: image }));
  const key = ({ rule, resource, message }: PackViolation) => `${rule} ${resource} ${message}`;
  const violations = [...new Map([...seen, ...plan.violations].map((item) => [key(item), item])).values()];
  const isBroken = (name: string) => violations.some(({ rule }) => rule === name);
  const applied = rules.map((rule) => ({ rule, to: images.filter((image) => applies(rule, image)) }));
  return {
    rules: rules.length,
    images: images.map(({ name }) => name),
    undecided: applied
      .filter(({ rule, to }) => !isBroken(rule.name) && to.some((image) => isUndecided(rule, image, context)))
      .map(({ rule }) => rule.name),
    notApplied: applied.filter(({ rule, to }) => !isBroken(rule.name) && to.length === 0).map(({ rule }) => rule.name),
    appliedBy: appliedBy(
      plan,
      images.map(({ name }) => name),
    ),
    violations,
  };
}

function signingIn({ steps }: Plan): Pick<Context, "signing"> {
  const component = steps.find(({ type }) => type === "facecraft:index:FacecraftImage");
  const signed = component?.after?.inputs.signed;
  const attached = steps.some(({ type, op }) => type.endsWith(":ReleaseSignature") && op !== "delete");
  return typeof signed === "boolean" ? { signing: { asked: signed, attached } } : {};
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
