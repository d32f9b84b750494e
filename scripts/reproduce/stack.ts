import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { labelOf } from "../../attest/compare.ts";
import type { ParsedProvenance } from "../../attest/provenance.ts";
import { parseConfig } from "../../plan/config.ts";
import { readDockerfile } from "../../plan/dockerfile.ts";
import { planRelease } from "../../plan/plan.ts";
import { planProvenance } from "../../plan/provenance.ts";
import { snapshotScripts } from "../../plan/snapshot.ts";
import { resolveSource } from "../../plan/source.ts";
import { variants } from "../../plan/variants.ts";
import type { ImageFacts } from "../../registry/facts.ts";

/**
 * What an image without a provenance was made of, as far as its stack's config and the image itself tell.
 *
 * @param file path of the stack's config; what is encrypted there is left out
 * @throws ConfigError for a config that is none of this project
 */
export async function fromStackConfig(file: string, facts: ImageFacts): Promise<ParsedProvenance> {
  const config = parseConfig(valuesOf(readFileSync(file, "utf8")));
  const dockerfile = readDockerfile(variants[config.variant].dockerfile);
  const [source, scripts] = await Promise.all([resolveSource(config.source, dockerfile), snapshotScripts()]);
  const plan = planRelease(config, dockerfile, source);
  const planned = await planProvenance(plan, scripts.digest);
  const base = `${labelOf(facts, "base.name")}@${labelOf(facts, "base.digest")}`;
  return {
    ...planned,
    source: planned.source === "." ? config.source : planned.source,
    version: labelOf(facts, "version") ?? "",
    revision: labelOf(facts, "revision") ?? "",
    buildArgs: {
      ...planned.buildArgs,
      [variants[config.variant].runtimeBase]: base,
      SOURCE_DATE_EPOCH: String(Math.floor(Date.parse(facts.created) / 1000)),
    },
    proof: facts.record,
  };
}

/** The values of the namespace `facecraft`, as the engine hands them over: text, and JSON for what is structured. */
export function valuesOf(text: string): Record<string, string> {
  const { config = {} } = (parse(text) ?? {}) as { config?: Record<string, unknown> };
  const own = Object.entries(config).filter(([key, value]) => key.startsWith("facecraft:") && !holdsSecret(value));
  return Object.fromEntries(
    own.map(([key, value]) => [
      key.slice("facecraft:".length),
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

function holdsSecret(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    ("secure" in value || Object.values(value).some((inner) => holdsSecret(inner)))
  );
}
