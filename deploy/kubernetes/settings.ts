import { stackConfig } from "../../plan/config.ts";
import { type ConfigOf, parseConfigOf, type StackConfig } from "../../plan/configReader.ts";
import { integer, matching, optional, withDefault } from "../../plan/schema.ts";
import { requirementList } from "../requirements.ts";
import { stackName } from "../stackName.ts";
import { trusted } from "../trust.ts";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const labelName = new RegExp(`^${label}$`);
const objectName = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

// Without "m": Kubernetes would read 4m as four thousandths of a byte.
const amount = () =>
  matching(/^(?!0+(?:\.0+)?[A-Za-z])\d+(?:\.\d+)?(?:[KMGTPE]i|[kMGTPE])$/, "an amount such as 4Gi or 500Mi");

/** The keys of the namespace `facecraft-kubernetes`: how a release is run on a cluster. */
export const settingKeys = {
  /** Stack whose release is deployed. */
  from: stackName,
  /** What of its release must have been proven. */
  require: withDefault(requirementList, []),
  /** Whose signature it must have. Absent: nobody's. */
  verify: optional(trusted),
  namespace: withDefault(matching(labelName, "a name of up to 63 lower-case letters, digits and -"), "facecraft"),
  replicas: withDefault(integer(1, 1000, "a number of pods from 1 to 1000"), 2),
  cpus: withDefault(integer(1, 1024, "a number of CPUs from 1 to 1024"), 2),
  memory: withDefault(amount(), "4Gi"),
  gpus: withDefault(integer(1, 1024, "a number of GPUs from 1 to 1024"), 1),
  /** Room of each writable folder. */
  scratch: withDefault(amount(), "2Gi"),
  /** Absent: the image can be pulled by everyone. */
  pullSecret: optional(matching(objectName, "the name of an image pull secret: lower-case letters, digits, - and .")),
};

export type Settings = ConfigOf<typeof settingKeys>;

/** The config of the stack that runs. @throws ConfigError, see {@link parseSettings} */
export function readSettings(): Settings {
  return parseSettings(stackConfig("facecraft-kubernetes"));
}

/** @throws ConfigError that lists every problem: the key, the value and what would be right */
export function parseSettings(config: StackConfig): Settings {
  return parseConfigOf("facecraft-kubernetes", settingKeys, config);
}
