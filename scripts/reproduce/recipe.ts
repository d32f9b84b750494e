import { ActionableError } from "../../artifacts/errors.ts";
import { secretValue } from "../../attest/provenance.ts";
import type { ProofRecord } from "../../registry/record.ts";

/** What the proof on a GPU needs, which the local builder does not have. */
const ofGpu = ["GPU_PROOF", "GPU_IDENTITY", "BUILDKIT_SYNTAX"];

/**
 * The build args of an image that is built again: those of its own build, with exactly the Python packages that it has.
 *
 * @param environment has what was kept secret, under the names of the build args
 * @returns the args, and a sentence for each thing that cannot be as it was
 * @throws ActionableError for a secret that nobody gives
 */
export function argsAgain(
  buildArgs: Readonly<Record<string, string>>,
  { packages }: Pick<ProofRecord, "packages">,
  environment: NodeJS.ProcessEnv,
): { args: Record<string, string>; remarks: string[] } {
  const args: Record<string, string> = {};
  for (const [name, value] of Object.entries(buildArgs).filter(([name]) => !ofGpu.includes(name))) {
    const given = value === secretValue ? environment[name] : value;
    if (given === undefined) {
      throw new ActionableError(
        `The build arg ${name} of this image was kept secret; set ${name} in the environment to build it again.`,
      );
    }
    args[name] = given;
  }
  const onGpu = buildArgs.GPU_PROOF === "required";
  return {
    args: {
      ...args,
      CONSTRAINTS: Object.entries(packages)
        .sort()
        .map(([name, version]) => `${name}==${version}`)
        .join("\n"),
    },
    remarks: onGpu ? ["It was proven on a GPU, and is built again without one: its record says so."] : [],
  };
}
