import { policyRefusal } from "../../plan/policyRefusal.ts";
import { defaultRegistries, rules } from "../../policy/rules.ts";
import { describeChanges, isChange, isProvider, plannedTags } from "./changes.ts";
import type { Plan } from "./events.ts";
import { modelRows } from "./models.ts";
import { applyPolicy } from "./policy.ts";
import type { LastRelease, PolicyResult, Report } from "./shape.ts";
import { summarize } from "./summary.ts";

/**
 * Makes the report of a preview.
 *
 * @param last what is known of the last release, see lastRelease.ts
 * @param exitCode of the engine; a report is never greener than that
 */
export function makeReport(
  stack: string,
  plan: Plan,
  last: LastRelease,
  registries: readonly string[] = defaultRegistries,
  exitCode = 0,
): Report {
  const policy = applyPolicy(plan, registries);
  const result = resultOf(plan, last, policy, exitCode);
  const facts = {
    stack,
    result,
    changes: describeChanges(plan),
    resources: countOps(plan),
    tags: result === "unchanged" ? [] : plannedTags(plan),
    last,
    models: modelRows(plan),
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
