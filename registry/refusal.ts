import { STATUS_CODES } from "node:http";
import { Refused } from "./errors.ts";
import type { Answer } from "./http.ts";

/** Characters of a body that are shown. */
const longest = 300;

/**
 * The error for an answer that is a refusal: its status, what its body says, and what to do.
 *
 * @param who who answered what, up to the status
 * @param secrets what must not be shown though the body repeats it
 */
export async function refusal(who: string, answer: Answer, hint: string, secrets: readonly string[]): Promise<Refused> {
  const said = saidIn((await answer.start(65_536).catch(() => Buffer.of())).toString(), secrets);
  const status = `${answer.status} ${STATUS_CODES[answer.status] ?? ""}`.trim();
  return new Refused(`${who} ${status}${said && ` (${said})`}${hint && `; ${hint}`}.`, answer.status);
}

/**
 * What the body of a refusal says, on one line: the codes and messages of a registry
 * (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes), or those of a token service.
 */
export function saidIn(body: string, secrets: readonly string[] = []): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return "";
  }
  const top = (parsed ?? {}) as ErrorBody;
  const errors = Array.isArray(top.errors) ? top.errors : [top];
  const sentences = errors.map((one) => {
    const { code, error, message, error_description, details } = (one ?? {}) as ErrorEntry;
    return [code ?? error, message ?? error_description ?? details]
      .filter((part) => typeof part === "string")
      .join(": ");
  });
  const told = secrets
    .filter(Boolean)
    .reduce((text, secret) => text.replaceAll(secret, "***"), sentences.filter(Boolean).join("; "));
  const line = told.replace(/[\p{C}\s]+/gu, " ").trim();
  const characters = [...line.replace(/\.$/, "")];
  return characters.length > longest ? `${characters.slice(0, longest).join("")}...` : characters.join("");
}

interface ErrorBody extends ErrorEntry {
  errors?: unknown;
}

interface ErrorEntry {
  code?: unknown;
  error?: unknown;
  message?: unknown;
  error_description?: unknown;
  details?: unknown;
}
