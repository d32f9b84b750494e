import { matching } from "../plan/schema.ts";

/** The stack whose release is deployed, as every deploy project's key `from` names it. */
export const stackName = matching(
  /^[^/\s]+\/[^/\s]+\/[^/\s]+$/,
  "the full name of a stack, such as organization/facecraft/cpu",
);
