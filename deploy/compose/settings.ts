import { isIP } from "node:net";
import { stackConfig } from "../../plan/config.ts";
import { type ConfigOf, parseConfigOf, type StackConfig } from "../../plan/configReader.ts";
import { boolean, checked, environment, integer, matching, optional, withDefault } from "../../plan/schema.ts";
import { pinnedImagePattern } from "../../registry/references.ts";
import { requirementList } from "../requirements.ts";
import { stackName } from "../stackName.ts";
import { trusted } from "../trust.ts";

/** The keys of the namespace `facecraft-deploy`: how a release is run on a Docker host. */
export const settingKeys = {
  /** Stack whose release is deployed. */
  from: stackName,
  /** What of its release must have been proven. */
  require: withDefault(requirementList, []),
  /** Whose signature it must have. Absent: nobody's. */
  verify: optional(trusted),
  /** Absent: the release that the stack hands over. */
  imageRef: optional(matching(pinnedImagePattern, "empty, or repository:tag@sha256:<64 hex digits>")),
  project: withDefault(matching(/^[a-z0-9][a-z0-9_-]*$/, "lower-case letters, digits, - and _"), "facecraft"),
  /** Absent: docker's own choice. */
  dockerHost: optional(checked(isDockerHost, "a Docker host such as ssh://deploy@server, without a password")),
  address: withDefault(
    checked(isAddress, "an IP address such as 127.0.0.1 (one of IPv6 in brackets: [::1])"),
    "127.0.0.1",
  ),
  port: withDefault(integer(1, 65_535, "a port from 1 to 65535"), 8000),
  memory: withDefault(matching(/^0*[1-9]\d*[kmg]b?$/i, "an amount such as 4g"), "4g"),
  cpus: withDefault(integer(1, 1024, "a number of CPUs from 1 to 1024"), 2),
  /** 0: all. */
  gpus: withDefault(integer(0, 1024, "0 (all) or a number of GPUs"), 1),
  environment: withDefault(environment(), {}),
  /** 0: what the image's health check allows. */
  readyWithin: withDefault(integer(0, 86_400, "0 (the health check decides) or a number of seconds up to 86400"), 0),
  trial: withDefault(boolean(), true),
};

export type Settings = ConfigOf<typeof settingKeys>;

/** The config of the stack that runs. @throws ConfigError, see {@link parseSettings} */
export function readSettings(): Settings {
  return parseSettings(stackConfig("facecraft-deploy"));
}

/** @throws ConfigError that lists every problem: the key, the value and what would be right */
export function parseSettings(config: StackConfig): Settings {
  return parseConfigOf("facecraft-deploy", settingKeys, config);
}

function isDockerHost(given: string): boolean {
  return /^(ssh|tcp|unix):\/\/\S+$/.test(given) && URL.parse(given)?.password === "";
}

function isAddress(given: string): boolean {
  return isIP(given) === 4 || isIP(/^\[(.*)\]$/.exec(given)?.[1] ?? "") === 6;
}
