import type { PolicyResult } from "./shape.ts";

/** Says how the rules came out: which hold, and which of them nobody knows. */
export function policySentence({
  rules: count,
  images,
  undecided,
  notApplied,
  appliedBy: how,
  violations,
}: PolicyResult): string {
  const broken = new Set(violations.filter(({ mandatory }) => mandatory).map(({ rule }) => rule)).size;
  if (images.length === 0 && broken === 0) {
    return `No image was looked at: 0 of ${count} rules were applied.`;
  }
  const softened = new Set(violations.filter(({ mandatory }) => !mandatory).map(({ rule }) => rule)).size;
  const holding = count - broken - softened - undecided.length - notApplied.length;
  const parts = [
    holding === count ? `All ${count} rules hold` : `${holding} of ${count} rules hold`,
    ...(broken > 0 ? [`${broken} broken`] : []),
    ...(softened > 0 ? [`${softened} broken that only warn`] : []),
    ...(undecided.length > 0
      ? [`not decided, because what they judge is secret or chosen by the update: ${undecided.join(", ")}`]
      : []),
    ...(notApplied.length > 0 ? [`not applied, because no release was looked at: ${notApplied.join(", ")}`] : []),
  ];
  return `${parts.join("; ")}. Looked at: ${images.join(", ") || "no image"}; applied ${how}.`;
}
