import { viewImage } from "../../policy/image.ts";
import { gone } from "../../registry/tags.ts";
import { goneRelease, imageType, isChange, releaseStep } from "./changes.ts";
import type { Plan, Step } from "./events.ts";
import type { LastRelease, ModelRow, Report } from "./shape.ts";

type Facts = Omit<Report, "summary">;

/** What a reviewer has to know, in a few sentences. Each comes from something that was evaluated. */
export function summarize(facts: Facts, plan: Plan, exitCode: number): string {
  if (facts.result === "failed") {
    return failure(facts, plan, exitCode).join(" ");
  }
  const sentences = facts.result === "unchanged" ? [stays(facts.last)] : [image(facts, plan)];
  return [...sentences, ...outside(facts, plan)].join(" ");
}

function failure({ problems, policy }: Facts, plan: Plan, exitCode: number): string[] {
  const failed = [...new Set(problems.map(({ resource }) => resource))].join(", ");
  const broken = new Set(policy.violations.filter(({ mandatory }) => mandatory).map(({ rule }) => rule));
  const sentences = [
    ...(plan.finished ? [] : ["This preview did not finish."]),
    ...(failed ? [`This cannot be released: ${failed} failed.`] : []),
    ...(broken.size > 0 ? [`This may not be released: it breaks ${[...broken].join(", ")}.`] : []),
  ];
  const silent = `This preview failed without a reason: the engine ended with exit code ${exitCode}.`;
  return sentences.length > 0 ? sentences : [silent];
}

function stays(last: LastRelease): string {
  if (!last.imageRef) {
    return "No change: nothing would be built or published anew.";
  }
  return last.answers.length > 0 && last.answers.every(({ standing }) => standing === "as left")
    ? `No change: ${last.imageRef} stays.`
    : `No change: nothing would be published in place of ${last.imageRef}.`;
}

function image({ changes, last }: Facts, plan: Plan): string {
  const release = releaseStep(plan);
  if (release === undefined) {
    return "There is no image in this preview.";
  }
  if (release.op === "same") {
    return plan.steps.some(isChange) ? "The image stays as it is; only what is around it changes." : stays(last);
  }
  const made = provenBy(plan);
  if (!viewImage(release.name, release.after?.inputs ?? {}).publishes) {
    return `${made}; an update would publish nothing, because facecraft:push is false.`;
  }
  const why = changes.length > 0 ? ` (${changes.map(({ what }) => what).join(", ")})` : "";
  if (goneRelease(plan)) {
    return `${made}; an update would publish it in place of the last release, which is gone from the registry${why}.`;
  }
  return release.op === "create"
    ? `${made}; an update would publish the first release of this stack.`
    : `${made}; an update would publish another release${why}.`;
}

/** Whether this preview has built the image: docker-build skips that where it cannot know an input. */
function provenBy({ steps, built }: Plan): string {
  const proof = steps.find(({ type, name }: Step) => type === imageType && name.endsWith("-proof"));
  if (proof && built.includes(proof.name)) {
    return "The image was built and proven";
  }
  return proof?.op === "same" ? "The image was proven by the last update" : "The image was not built by this preview";
}

/** What is not as the last update left it, or may not be. */
function outside({ last, models }: Facts, plan: Plan): string[] {
  const moved = movedIn(last, plan);
  const unknown = last.answers.filter(({ standing }) => standing === "not known");
  const reasons = [...new Set(unknown.map(({ said }) => said))];
  const titles = (wanted: ModelRow["upstream"]) =>
    models.filter(({ upstream }) => upstream === wanted).map(({ title }) => title);
  const [drifted, unasked] = [titles("drifted"), titles("not known")];
  return [
    ...(moved.length > 0
      ? [`Not as the last update left it: ${moved.join("; ")}. The next \`make up\` puts that right.`]
      : []),
    ...(unknown.length > 0
      ? [`It is not known what became of ${unknown.map(({ asked }) => asked).join(", ")}: ${reasons.join("; ")}.`]
      : []),
    ...(drifted.length > 0
      ? [`Upstream no longer serves ${drifted.join(", ")} as pinned: an update fails while that is so.`]
      : []),
    ...(unasked.length > 0 ? [`It is not known whether upstream still serves ${unasked.join(", ")} as pinned.`] : []),
  ];
}

/** By the registry's answers; or by those that the refresh got, with credentials that the report does not have. */
function movedIn({ answers }: LastRelease, plan: Plan): string[] {
  const isTold = goneRelease(plan) ? (said: string) => said === gone : () => false;
  const moved = answers.filter(({ standing, said }) => standing === "changed" && !isTold(said));
  const drifted = (name: string) => {
    const { drift } = { ...plan.steps.find(({ type }) => type.endsWith(`:${name}`))?.before?.outputs };
    return typeof drift === "string" && drift !== "" ? [drift] : [];
  };
  const tags =
    moved.length === 0 && !goneRelease(plan)
      ? drifted("PublishedTags")
      : moved.map(({ asked, said }) => `${asked} ${said}`);
  return [...tags, ...drifted("ReleaseSignature")];
}
