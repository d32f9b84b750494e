import { ActionableError } from "../artifacts/errors.ts";

/** A registry that cannot be asked, that refuses, or that answers with something else than it was asked for. */
export class RegistryError extends ActionableError {}

/** A registry, or a server that it sends us to, that did not answer, or not to the end. */
export class Unanswered extends RegistryError {
  /** What the network, TLS or the HTTP client calls it, such as ECONNREFUSED. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** Whether somebody is there, but a secure connection did not come about. */
export function isTlsTrouble(code: string | undefined): boolean {
  return code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code);
}

/** A registry, or a server that it sends us to, that answered with a refusal. */
export class Refused extends RegistryError {
  /** Of HTTP. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}
