import { pinnedImagePattern } from "../registry/references.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import { shown } from "./shown.ts";
import { type BaseName, variants } from "./variants.ts";

/** The base images by their ARGs. @throws ConfigError for one without a digest */
export function planBases(config: Config, dockerfile: DockerfileFacts): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variants[config.variant].bases).map(([name, arg]) => {
      const base = config.baseImages[name as BaseName] ?? dockerfile.args.get(arg);
      if (base === undefined || !pinnedImagePattern.test(base)) {
        const right = "an image with its digest (name:tag@sha256:<64 hex digits>); `make update-bases` pins it";
        throw new ConfigError([`ARG ${arg} in ${dockerfile.path} is ${shown(base)}; it must be ${right}.`]);
      }
      return [arg, base];
    }),
  );
}
