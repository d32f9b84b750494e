import { join, relative } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type Release, secondsToReady } from "../release.ts";
import { type ComposeFile, renderCompose } from "./composeFile.ts";
import type { Rollout } from "./rollout.ts";
import type { Settings } from "./settings.ts";

export interface ComposeServiceArgs {
  release: pulumi.Input<Release>;
  settings: Omit<Settings, "from" | "imageRef" | "require" | "verify">;
}

/** A release that runs on a Docker host. The update fails, and the release before it serves, when it does not get ready. */
export class ComposeService extends pulumi.ComponentResource {
  /** The Compose file, as it is rolled out. */
  readonly composeFile: pulumi.Output<ComposeFile>;
  /** The release, known only when it was healthy: what another deploy stack may take over. */
  readonly proven: pulumi.Output<Release>;
  /** Where the service answers. */
  readonly url: string;

  constructor(name: string, { release, settings }: ComposeServiceArgs, options?: pulumi.ComponentResourceOptions) {
    super("facecraft:deploy:ComposeService", name, {}, options);
    this.composeFile = pulumi.output(release).apply((known) => renderCompose(known, settings));
    const rollout = pulumi.all([this.composeFile, release]).apply(
      ([file, { healthcheck, variant }]): Rollout => ({
        file,
        seconds: settings.readyWithin || secondsToReady(healthcheck),
        secondsBack: Math.max(settings.readyWithin, secondsToReady(healthcheck)),
        // A GPU rarely holds two releases at once.
        trial: settings.trial && variant !== "gpu",
      }),
    );
    // Relative, so that the stack's state is the same on every machine.
    const script = relative(process.cwd(), join(import.meta.dirname, "run-rollout.ts"));
    const rolledOut = new command.local.Command(
      `${name}-rollout`,
      {
        create: `node ${script}`,
        delete: `node ${script} remove`,
        environment: {
          ROLLOUT: pulumi.jsonStringify(rollout),
          ...(settings.dockerHost && { DOCKER_HOST: settings.dockerHost }),
        },
      },
      { parent: this },
    );
    this.proven = pulumi.all([rolledOut.stdout, release]).apply(([, known]) => known);
    this.url = `http://${settings.address}:${settings.port}`;
    this.registerOutputs({ composeFile: this.composeFile, proven: this.proven, url: this.url });
  }
}
