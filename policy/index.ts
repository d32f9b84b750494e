#!/usr/bin/env node
// The rules as a policy pack. The engine asks it about each resource before that is made, so a release that breaks a rule
// is neither previewed nor pushed. It starts in two ways: through the Node.js language host (`--policy-pack policy`), and
// by itself (`--policy-pack policy/index.ts`), which needs no language host that can run packs.
import {
  PolicyPack,
  type PolicyResource,
  type ResourceValidationPolicy,
  type StackValidationPolicy,
} from "@pulumi/policy";
import { readSaid } from "../plan/proven.ts";
import { type ImageView, type Inputs, isRelease, unknown, type VerifiedModel, value, viewImage } from "./image.ts";
import { applies, type Context, type Limits, limits, type Rule, rules } from "./rules.ts";

// What the engine has asked about so far, by URN, in whatever order its resources arrive.
const verified = new Map<string, VerifiedModel>();
const images = new Map<string, ImageView>();

// What the environment decides, and what a pack's config decides in its place.
const fromEnvironment = limits();

interface Config {
  allowed?: string[];
  maxReadySeconds?: number;
}

const configs: Record<string, NonNullable<ResourceValidationPolicy["configSchema"]>> = {
  "allowed-registries": { properties: { allowed: { type: "array", items: { type: "string" } } } },
  "ready-in-time": { properties: { maxReadySeconds: { type: "number", exclusiveMinimum: 0 } } },
};

function limitsBy({ allowed, maxReadySeconds }: Config): Limits {
  return {
    ...fromEnvironment,
    ...(allowed && { allowedRegistries: allowed }),
    ...(maxReadySeconds !== undefined && { maxReadySeconds }),
  };
}

function policy(rule: Rule): ResourceValidationPolicy & Partial<StackValidationPolicy> {
  const { name, description } = rule;
  const check = (image: ImageView, config: Config, known: Pick<Context, "readySeconds" | "signing"> = {}) =>
    applies(rule, image) ? rule.check(image, { ...limitsBy(config), ...known, verified: [...verified.values()] }) : [];
  return {
    name,
    description,
    enforcementLevel: rule.isAdvisory ? "advisory" : "mandatory",
    ...(configs[name] && { configSchema: configs[name] }),
    validateResource(args, report) {
      if (isModel(args)) {
        verified.set(args.urn, { name: args.name, sha256: value(plain(args.props).sha256) });
      }
      if (args.type !== "docker-build:index:Image") {
        return;
      }
      const image = viewImage(args.name, plain(args.props));
      images.set(args.urn, image);
      // What a release waits for was asked about before it, so it can be refused before it is made. What waits for nothing
      // is judged when the whole stack is known.
      if (!rule.needsStack || isRelease(image)) {
        check(image, args.getConfig<Config>()).forEach((message) => {
          report(message);
        });
      }
    },
    ...(rule.needsStack && {
      validateStack({ resources, getConfig }, report) {
        for (const resource of resources) {
          const image = images.get(resource.urn);
          const judged = image && { ...image, waitsFor: modelsBefore(resource) };
          for (const message of judged
            ? check(judged, getConfig<Config>(), { ...measured(resources), ...signingIn(resources) })
            : []) {
            report(message, resource.urn);
          }
        }
      },
    }),
  };
}

/** Names of the ModelChecksums that a resource depends on, at first or second hand. */
function modelsBefore(resource: PolicyResource): Set<string> {
  const seen = new Set([resource]);
  for (const { dependencies } of seen) {
    dependencies.forEach((dependency) => {
      seen.add(dependency);
    });
  }
  return new Set([...seen].filter(isModel).map(({ name }) => name));
}

/** What the program read from the published image: known in an update, and in a preview that changes nothing about it. */
function measured(resources: readonly PolicyResource[]): Pick<Context, "readySeconds"> {
  const command = resources.find(({ type, name }) => type === "command:local:Command" && name.endsWith("-published"));
  const { readySeconds } = readSaid(plain(command?.props ?? {}).stdout).proof ?? {};
  return typeof readySeconds === "number" ? { readySeconds } : {};
}

/** What FacecraftImage says that it was asked for, and the resource that it has made for that. */
function signingIn(resources: readonly PolicyResource[]): Pick<Context, "signing"> {
  const component = resources.find(({ type }) => type === "facecraft:index:FacecraftImage");
  const { signed } = plain(component?.props ?? {});
  const attached = resources.some(({ type }) => type.endsWith(":ReleaseSignature"));
  return typeof signed === "boolean" ? { signing: { asked: signed, attached } } : {};
}

function isModel({ type }: { type: string }): boolean {
  return type.endsWith(":ModelChecksum");
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
