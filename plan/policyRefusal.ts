/**
 * Says in our own words what the builder says in its own when the policy beside a Dockerfile refuses an input: the policy's
 * sentences do not get through. Undefined for a message that says something else.
 */
export function policyRefusal(message: string): string | undefined {
  const [, scheme, source] = /source "([\w+-]+):\/\/([^"]+)" not allowed by policy/.exec(message) ?? [];
  if (source === undefined) {
    return undefined;
  }
  if (scheme === "docker-image" && !source.includes("@sha256:")) {
    return `The base image ${source} has no digest. Pin it as \`name:tag@sha256:<digest>\`, or run \`make update-bases\`.`;
  }
  const what = scheme === "docker-image" ? "a base image" : `an input of the kind ${scheme}`;
  return `The policy beside the Dockerfile (Dockerfile.*.rego) refuses ${source}, ${what} of the build.`;
}
