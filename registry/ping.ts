import { request } from "node:https";
import { errorCode } from "../artifacts/errors.ts";
import { isTlsTrouble, Unanswered } from "./errors.ts";
import { hostOf, locate } from "./references.ts";

const proxyVariables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];

/**
 * Asks whether a repository's registry is there at all. Every answer will do, also a refusal or a certificate that is not
 * trusted here: nothing is told to it. Every update begins with this, and the client for the rest takes a tenth of a second
 * to load, so it is loaded only where a proxy may have to be asked.
 *
 * @throws Unanswered
 */
export async function ping(repository: string, waitMs = 10_000): Promise<void> {
  const url = new URL(`https://${hostOf(locate(repository).registry)}/v2/`);
  try {
    await (proxyVariables.some((name) => process.env[name]) ? throughProxy(url, waitMs) : directly(url, waitMs));
  } catch (error) {
    const code = errorCode(error);
    if (isTlsTrouble(code)) {
      return;
    }
    if (error instanceof Unanswered) {
      throw error;
    }
    const said = code === "ABORT_ERR" ? `no answer within ${waitMs / 1000} s` : (code ?? (error as Error).message);
    throw new Unanswered(`The registry ${url.host} cannot be reached: ${said}.`, code);
  }
}

function directly(url: URL, waitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { method: "HEAD", rejectUnauthorized: false, signal: AbortSignal.timeout(waitMs), agent: false };
    request(url, options, (response) => resolve(void response.resume()))
      .on("error", reject)
      .end();
  });
}

async function throughProxy(url: URL, waitMs: number): Promise<void> {
  const { ask } = await import("./http.ts");
  const patience = { silenceMs: waitMs, answerMs: waitMs, slowest: 1 };
  const answer = await ask(url, { who: "The registry", headers: {}, patience });
  await answer.discard();
}
