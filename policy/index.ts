#!/usr/bin/env node
// The rules as a policy pack. The engine asks it about each resource before that is made, so a release that breaks a rule
// is neither previewed nor pushed. It starts in two ways: through the Node.js language host (`--policy-pack policy`), and
// by itself (`--policy-pack policy/index.ts`), which needs no language host that can run packs.
import { PolicyPack, type ResourceValidationPolicy } from "@pulumi/policy";
import { type Inputs, unknown, type VerifiedModel, value, viewImage } from "./image.ts";
import { allowedRegistries, applies, type Rule, rules } from "./rules.ts";

// Images depend on their ModelChecksums, so the engine asks about those first.
const verified: VerifiedModel[] = [];

function policy(rule: Rule): ResourceValidationPolicy {
  const { name, description } = rule;
  return {
    name,
    description,
    enforcementLevel: "mandatory",
    ...(name === "allowed-registries" && {
      configSchema: {
        properties: { allowed: { type: "array", items: { type: "string" } } },
      },
    }),
    validateResource(args, report) {
      if (args.type.endsWith(":ModelChecksum")) {
        note({ name: args.name, sha256: value(plain(args.props).sha256) });
        return;
      }
      if (args.type !== "docker-build:index:Image") {
        return;
      }
      const image = viewImage(args.name, plain(args.props));
      const { allowed = allowedRegistries() } = args.getConfig<{ allowed?: string[] }>();
      if (applies(rule, image)) {
        rule.check(image, { verified, allowedRegistries: allowed }).forEach((message) => {
          report(message);
        });
      }
    },
  };
}

function note(model: VerifiedModel): void {
  const index = verified.findIndex(({ name }) => name === model.name);
  verified.splice(index < 0 ? verified.length : index, 1, model);
}

/** Reads a resource's inputs; where one is not known yet, the SDK throws. */
function plain(props: Inputs): Inputs {
  const copy = (of: unknown): unknown => {
    if (Array.isArray(of)) {
      return Array.from({ length: of.length }, (_, index) => read(of as unknown as Inputs, String(index)));
    }
    if (typeof of !== "object" || of === null) {
      return of;
    }
    return Object.fromEntries(Object.keys(of).map((key) => [key, read(of as Inputs, key)]));
  };
  const read = (of: Inputs, key: string) => {
    let item: unknown;
    try {
      item = of[key];
    } catch {
      return unknown;
    }
    return copy(item);
  };
  return copy(props) as Inputs;
}

process.chdir(import.meta.dirname); // the SDK takes the pack's version from the package.json there
new PolicyPack("facecraft", { policies: rules.map(policy) });
