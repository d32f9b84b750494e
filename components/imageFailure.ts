import * as pulumi from "@pulumi/pulumi";
import type { Credentials } from "../registry/login.ts";

/** What an image is built with and pushed to. */
interface Places {
  repository: string;
  credentials?: Credentials | undefined;
  /** Name of a buildx builder. */
  builder?: string | undefined;
}

/**
 * Says why an image was not built, or not pushed, where the builder's own words do not. Nothing is tried anew. A preview needs
 * none of it: it pushes nothing, it asks for the builder first, and its report explains the rest.
 */
export function explainFailure(name: string, places: Places): Pick<pulumi.CustomResourceOptions, "hooks"> {
  if (pulumi.runtime.isDryRun()) {
    return {};
  }
  const explain = new pulumi.ErrorHook(`${name}-failure`, async ({ errors }) => {
    for (const sentence of await explanations(errors, places)) {
      await pulumi.log.error(sentence);
    }
    return false;
  });
  return { hooks: { onError: [explain] } };
}

/** What can be said of the errors of an image in our own words. What that needs is loaded then: most updates do not fail. */
export async function explanations(
  errors: readonly string[],
  { repository, credentials, builder }: Places,
): Promise<string[]> {
  const { builderFault } = await import("../plan/builder.ts");
  const { policyRefusal } = await import("../plan/policyRefusal.ts");
  const fault = builder && (await builderFault(builder));
  if (fault) {
    // Of one that ended during a build, all that is heard is a deadline, or the end of a connection.
    return [`facecraft:builder is "${builder}", ${fault}.`];
  }
  const refused = errors.flatMap((message) => policyRefusal(message) ?? []);
  return errors.some((error) => error.includes("failed to push"))
    ? [...refused, `The push to ${repository} was refused. ${await pushFault(repository, credentials)}`]
    : refused;
}

/** The builder passes on "denied" or "unknown" and no more, so the registry is asked once again. */
async function pushFault(repository: string, credentials: Credentials | undefined): Promise<string> {
  const { Repository } = await import("../registry/repository.ts");
  try {
    await new Repository(repository, credentials).checkPush();
    return "The registry takes an upload now: run the update again; or it keeps this tag from being written over.";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
