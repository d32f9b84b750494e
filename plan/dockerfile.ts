import { readFileSync } from "node:fs";
import { DockerfileParser, type Instruction } from "dockerfile-ast";
import { readArgs } from "../artifacts/pins.ts";
import { durationPattern, type Healthcheck, healthcheckProbe as probe } from "../registry/healthcheck.ts";
import { ConfigError } from "./configReader.ts";

/** What this program reads from a Dockerfile, so that each fact stands there and nowhere else. */
export interface DockerfileFacts {
  path: string;
  /** Path of the ignore file that Docker reads with it; it says what of a directory is the application. */
  ignoreFile: string;
  /** Files of the application that say what is installed. */
  requirements: string[];
  /** Defaults of its ARGs: model URLs, pins, base images. */
  args: ReadonlyMap<string, string>;
  healthcheck: Healthcheck;
  /** Names of the environment variables that the image has from it. */
  variables: ReadonlySet<string>;
}

export function readDockerfile(path: string): DockerfileFacts {
  const text = readFileSync(path, "utf8");
  const args = readArgs(text);
  return {
    path,
    ignoreFile: `${path}.dockerignore`,
    requirements: (args.get("REQUIREMENTS") ?? "").split(" ").filter(Boolean),
    args,
    healthcheck: parseHealthcheck(text, path),
    variables: variablesOf(text),
  };
}

/** Names of the variables that the last stage has by ENV: its own, and those of the stages that it is made from. */
export function variablesOf(text: string): Set<string> {
  const dockerfile = DockerfileParser.parse(text);
  const lineOf = (instruction: Instruction) => instruction.getRange().start.line;
  const stages = dockerfile.getFROMs();
  const stageOf = (env: Instruction) => stages.findLast((stage) => lineOf(stage) < lineOf(env));
  const variables = new Set<string>();
  let stage = stages.at(-1);
  while (stage !== undefined) {
    const current = stage;
    for (const env of dockerfile.getENVs().filter((env) => stageOf(env) === current)) {
      env.getProperties().forEach((property) => {
        variables.add(property.getName());
      });
    }
    stage = stages.slice(0, stages.indexOf(current)).find((earlier) => earlier.getBuildStage() === current.getImage());
  }
  return variables;
}

/**
 * The health check of the last stage that declares one.
 *
 * @throws ConfigError when there is none, or one that does not run the image's own program, or that leaves out a setting.
 */
export function parseHealthcheck(text: string, file: string): Healthcheck {
  const dockerfile = DockerfileParser.parse(text);
  const expose = dockerfile.getInstructions().findLast((instruction) => instruction.getKeyword() === "EXPOSE");
  const check = dockerfile.getHEALTHCHECKs().at(-1);
  const flags = new Map(check?.getFlags().map((flag) => [flag.getName(), flag.getValue() ?? ""]));
  const setting = (name: string) => flags.get(name) ?? "";
  const variable = (name: string, at?: Instruction) =>
    (at && dockerfile.resolveVariable(name, at.getRange().start.line)) ?? "";
  const port = expose?.getArguments()[0]?.getValue() ?? "";

  const found: Healthcheck = {
    path: variable(probe.pathVariable, check),
    port: Number.parseInt(
      port.replace(/^\$\{?(\w+)\}?/, (_, name) => variable(name, expose)),
      10,
    ),
    interval: setting("interval"),
    timeout: setting("timeout"),
    startPeriod: setting("start-period"),
    retries: Number(setting("retries")),
  };
  const [, ...command] = check?.getArguments().map((word) => word.getValue()) ?? [];
  if (command.join("") !== JSON.stringify(probe.command) || !isComplete(found)) {
    const settings = "--interval, --timeout, --start-period, --retries";
    const wanted = `EXPOSE, ENV ${probe.pathVariable}, and HEALTHCHECK ${settings} CMD ${JSON.stringify(probe.command)}`;
    throw new ConfigError([`${file} has no complete health check; it needs ${wanted}.`]);
  }
  return found;
}

function isComplete({ path, port, interval, timeout, startPeriod, retries }: Healthcheck): boolean {
  const durations = [interval, timeout, startPeriod];
  return path.startsWith("/") && port > 0 && retries > 0 && durations.every((time) => durationPattern.test(time));
}
