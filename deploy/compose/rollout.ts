import { ActionableError } from "../../artifacts/errors.ts";
import { asTrial, type ComposeFile, service } from "./composeFile.ts";

/** What a rollout needs of a Docker host. */
export interface Host {
  /** The Compose file of the release that runs, as it was rolled out; undefined when none does. */
  running(project: string): Promise<ComposeFile | undefined>;
  /** `compose up --wait`. @throws Error when the service is not healthy in time */
  up(file: ComposeFile, seconds: number): Promise<void>;
  /** Stops and removes containers and networks. */
  down(project: string, options: { volumes: boolean }): Promise<void>;
  /** The end of the containers' log. */
  logs(project: string): Promise<string>;
}

export interface Rollout {
  file: ComposeFile;
  /** How long the service may take to get healthy. */
  seconds: number;
  /** How long the release before it may take when it is started again: never cut short, so that going back works. */
  secondsBack: number;
  /** Prove the new release beside the running one first. */
  trial: boolean;
}

/** A release that did not take over. */
export class RolloutError extends ActionableError {}

/**
 * Replaces the release that runs. One that does not become healthy never takes over: with a trial, the old container
 * serves all the while; without, or should the new one fail at its place after all, the old release is started again.
 *
 * @throws RolloutError with the end of the new release's log
 */
export async function rollOut({ file, seconds, secondsBack, trial }: Rollout, host: Host): Promise<void> {
  const project = file.name;
  const image = imageOf(file);
  const before = await host.running(project);
  if (before && trial) {
    const candidate = asTrial(file);
    try {
      await attempt(candidate, seconds, host, `${imageOf(before)} still serves.`);
    } finally {
      await host.down(candidate.name, { volumes: true });
    }
  }
  try {
    await attempt(file, seconds, host, "");
  } catch (error) {
    if (!before) {
      await host.down(project, { volumes: false });
      throw new RolloutError(`${message(error)}\nNo release ran before it, so none runs now.`);
    }
    await host.up(before, secondsBack).catch((second) => {
      throw new RolloutError(`${message(error)}\nGoing back to ${imageOf(before)} failed too: ${message(second)}`);
    });
    throw new RolloutError(`${message(error)}\nRolled back: ${imageOf(before)} serves again, in place of ${image}.`);
  }
}

async function attempt(file: ComposeFile, seconds: number, host: Host, consequence: string): Promise<void> {
  try {
    await host.up(file, seconds);
  } catch (error) {
    const log = await host.logs(file.name).catch((failure) => `(its log cannot be read: ${message(failure)})`);
    const reason = message(error).replace(/\.$/, "");
    const sentences = `${imageOf(file)} did not get healthy (it has ${seconds} s): ${reason}. ${consequence}`.trim();
    throw new RolloutError(log.trim() === "" ? sentences : `${sentences}\nThe end of its log:\n${indented(log)}`);
  }
}

export function imageOf(file: ComposeFile): string {
  return String(file.services[service]?.image);
}

function indented(text: string): string {
  return text.trim().replaceAll(/^/gm, "  ");
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
