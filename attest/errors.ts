import { ActionableError } from "../artifacts/errors.ts";

/** What an image or a statement about it says and does not hold, or what cannot be said of it. */
export class AttestError extends ActionableError {}
