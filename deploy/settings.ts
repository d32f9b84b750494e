import * as pulumi from "@pulumi/pulumi";

/** How a release is run on a Docker host. */
export interface Settings {
  /** Stack whose release is deployed. */
  from: string;
  /** Empty: the release that the stack hands over. */
  imageRef: string;
  project: string;
  /** Empty: docker's own choice. */
  dockerHost: string;
  address: string;
  port: number;
  memory: string;
  cpus: number;
  /** 0: all. */
  gpus: number;
  environment: Record<string, string>;
  /** 0: what the image's health check allows. */
  readyWithin: number;
  trial: boolean;
}

/** The config of the stack that runs. @throws pulumi.RunError that lists every problem */
export function readSettings(): Settings {
  const config = new pulumi.Config("facecraft-deploy");
  const settings = {
    from: config.get("from") ?? "",
    imageRef: config.get("imageRef") ?? "",
    project: config.get("project") ?? "facecraft",
    dockerHost: config.get("dockerHost") ?? "",
    address: config.get("address") ?? "127.0.0.1",
    port: config.getNumber("port") ?? 8000,
    memory: config.get("memory") ?? "4g",
    cpus: config.getNumber("cpus") ?? 2,
    gpus: config.getNumber("gpus") ?? 1,
    environment: config.getObject<Record<string, string>>("environment") ?? {},
    readyWithin: config.getNumber("readyWithin") ?? 0,
    trial: config.getBoolean("trial") ?? true,
  };
  const problems = settingsProblems(settings);
  if (problems.length > 0) {
    throw new pulumi.RunError(problems.join("\n"));
  }
  return settings;
}

export function settingsProblems(settings: Settings): string[] {
  const checks: [keyof Settings, boolean, string][] = [
    [
      "from",
      /^[^/\s]+\/[^/\s]+\/[^/\s]+$/.test(settings.from),
      "the full name of a stack, such as organization/facecraft/cpu",
    ],
    [
      "imageRef",
      /^$|^\S+@sha256:[0-9a-f]{64}$/.test(settings.imageRef),
      "empty, or repository:tag@sha256:<64 hex digits>",
    ],
    ["project", /^[a-z0-9][a-z0-9_-]*$/.test(settings.project), "lower-case letters, digits, - and _"],
    ["dockerHost", /^$|^(ssh|tcp|unix):\/\//.test(settings.dockerHost), "a Docker host such as ssh://deploy@server"],
    ["port", Number.isInteger(settings.port) && settings.port > 0 && settings.port < 65536, "a port from 1 to 65535"],
    ["memory", /^\d+[kmg]b?$/i.test(settings.memory), "an amount such as 4g"],
    ["cpus", settings.cpus > 0, "a number above 0"],
    ["gpus", Number.isInteger(settings.gpus) && settings.gpus >= 0, "0 (all) or a number of GPUs"],
    ["readyWithin", settings.readyWithin >= 0, "0 (the health check decides) or a number of seconds"],
  ];
  return checks
    .filter(([, right]) => !right)
    .map(([key, , right]) => `facecraft-deploy:${key} is ${JSON.stringify(settings[key])}; it must be ${right}.`);
}
