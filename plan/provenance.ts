import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ProvenanceInputs, secretValue } from "../attest/provenance.ts";
import { splitReference } from "../registry/references.ts";
import { headCommit } from "./commit.ts";
import { modelNames, models } from "./models.ts";
import type { ReleasePlan } from "./plan.ts";
import { variants } from "./variants.ts";

/**
 * What the provenance of a release will say of how it came about. Secret values are named, and not told.
 *
 * @param scriptsSha256 of the Dockerfiles' scripts, 64 hex digits
 */
export async function planProvenance(plan: ReleasePlan, scriptsSha256: string): Promise<ProvenanceInputs> {
  const { variant, version, revision, dockerfile, secretValues } = plan;
  const told = (name: string, value: string) => (secretValues.includes(name) ? secretValue : value);
  const isUrl = /^[a-z]+:\/\//.test(plan.appContext);
  const { version: ownVersion } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  return {
    variant,
    version,
    revision,
    source: isUrl ? told("app", plan.appContext) : ".",
    dockerfile: {
      path: dockerfile,
      sha256: createHash("sha256").update(readFileSync(dockerfile)).digest("hex"),
    },
    scriptsSha256,
    buildArgs: Object.fromEntries(Object.entries(plan.buildArgs).map(([name, value]) => [name, told(name, value)])),
    bases: Object.values(variants[variant].bases).map((arg) => {
      const base = plan.buildArgs[arg] ?? "";
      const { digest = "" } = splitReference(base);
      return { name: base.replace(`@${digest}`, ""), digest };
    }),
    models: modelNames.map((name) => {
      const arg = `${models[name].arg}_URL`;
      const { file, sha256 } = plan.models[name];
      return { name, file, url: told(arg, plan.buildArgs[arg] ?? ""), sha256 };
    }),
    platforms: [...plan.platforms],
    builder: plan.builder ?? "",
    program: { version: ownVersion, commit: await headCommit(".") },
  };
}
