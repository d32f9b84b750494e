import { policyRefusal } from "../../plan/policyRefusal.ts";
import { defaultRegistries, type Limits, rules } from "../../policy/rules.ts";
import { describeChanges, goneRelease, isChange, isProvider, plannedTags, releaseStep } from "./changes.ts";
import type { Plan } from "./events.ts";
import { modelRows } from "./models.ts";
import { applyPolicy } from "./policy.ts";
import { proofRows } from "./proof.ts";
import type { LastRelease, PolicyResult, Report } from "./shape.ts";
import { summarize } from "./summary.ts";

/**
 * Makes the report of a preview.
 *
 * @param last what is known of the last release, see lastRelease.ts
 * @param limits what those who apply the policy decide
 * @param exitCode of the engine; a report is never greener than that
 */
export function makeReport(
  stack: string,
  plan: Plan,
  last: LastRelease,
  limits: Limits = { allowedRegistries: defaultRegistries },
  exitCode = 0,
): Report {
  // Of another release, its own proof will tell.
  const stays = releaseStep(plan)?.op === "same" && !goneRelease(plan);
  const policy = applyPolicy(plan, limits, stays ? last.proof?.readySeconds : undefined);
  const result = resultOf(plan, last, policy, exitCode);
  const facts = {
    stack,
    result,
    changes: describeChanges(plan),
    resources: countOps(plan),
    tags: result === "unchanged" ? [] : plannedTags(plan),
    last,
    models: modelRows(plan),
    proof: proofRows(plan),
    policy,
    problems: plan.problems.map((problem) => {
      const hint = policyRefusal(problem.message);
      return { ...problem, ...(hint && { hint }) };
    }),
    warnings: [...plan.warnings],
  };
  return { ...facts, summary: summarize(facts, plan, exitCode) };
}

/** The report that stands until a preview has come to its end. */
export function unfinishedReport(stack: string): Report {
  return {
    stack,
    result: "failed",
    summary: "This preview did not finish: nothing was evaluated.",
    changes: [],
    resources: {},
    tags: [],
    last: { isKnown: false, answers: [] },
    models: [],
    proof: [],
    policy: {
      rules: rules.length,
      images: [],
      undecided: [],
      notApplied: rules.map(({ name }) => name),
      appliedBy: "",
      violations: [],
    },
    problems: [],
    warnings: [],
  };
}

function resultOf(plan: Plan, last: LastRelease, policy: PolicyResult, exitCode: number): Report["result"] {
  const refused = policy.violations.some(({ mandatory }) => mandatory);
  if (!plan.finished || !plan.succeeded || refused || exitCode !== 0) {
    return "failed";
  }
  const moved = last.answers.some(({ standing }) => standing === "changed");
  return moved || plan.steps.some(isChange) ? "changed" : "unchanged";
}

function countOps(plan: Plan): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of plan.steps.filter((step) => !isProvider(step))) {
    counts[op] = (counts[op] ?? 0) + 1;
  }
  return counts;
}
