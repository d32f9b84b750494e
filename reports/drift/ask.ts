import type { Answer } from "../../artifacts/answer.ts";
import { probe } from "../../artifacts/probe.ts";
import { redactUrl } from "../../artifacts/redact.ts";
import { listAttached } from "../../registry/attached.ts";
import { Repository } from "../../registry/repository.ts";
import { askPublished, gone } from "../../registry/tags.ts";
import type { Remembered, RememberedModel, RememberedSignature } from "./state.ts";

/** Asks about everything that a stack has left out in the world; one answer each. */
export async function askAll({ images, signatures, models, handedOver, interrupted }: Remembered): Promise<Answer[]> {
  const answers = await Promise.all([
    ...images.map(({ credentials, ...published }) => askPublished(published, credentials)),
    ...signatures.map(askAttached),
    ...models.map(async (model) => [await askUpstream(model)]),
  ]);
  const left: Answer[] = interrupted.map((name) => ({
    asked: name,
    standing: "not known",
    said: "an update was interrupted while it worked on this; run it again",
  }));
  return [...answers.flat(), ...images.flatMap((image) => judgeOutputs(image, handedOver)), ...left];
}

async function askAttached({ repository, digest, attached, credentials }: RememberedSignature): Promise<Answer[]> {
  const asked = attached.map(({ what, reference }) => ({ asked: `the ${what} ${reference}`, reference }));
  try {
    const found = await listAttached(new Repository(repository, credentials), digest);
    const isThere = (reference: string) => found.some((one) => reference === `${repository}@${one.digest}`);
    return asked.map(({ asked, reference }) =>
      isThere(reference)
        ? { asked, standing: "as left", said: `is attached to ${digest}` }
        : { asked, standing: "changed", said: gone },
    );
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return asked.map(({ asked }) => ({ asked, standing: "not known", said }));
  }
}

/** What deploy stacks read, which an update writes down last. */
function judgeOutputs({ repository, digest }: Remembered["images"][number], handedOver: string): Answer[] {
  const other = handedOver === "" ? "name no image" : `still name ${handedOver}`;
  return digest === handedOver
    ? []
    : [
        {
          asked: "the stack's outputs",
          standing: "changed",
          said: `an update that ended early has published ${repository}@${digest}, but they ${other}; run it again`,
        },
      ];
}

/** As a refresh of ModelChecksum does: drift is what would stop an update. */
async function askUpstream({
  title,
  urls,
  sha256,
  url,
  etag,
  lastModified,
  caBundle,
}: RememberedModel): Promise<Answer> {
  const asked = `${title} (${urls.map(redactUrl).join(", ")})`;
  const plain = (sentence: string) => sentence.replace(`${title}: `, "");
  const validators = { ...(etag && { etag }), ...(lastModified && { lastModified }) };
  try {
    const found = await probe({ title, urls, sha256, url, validators }, caBundle ? { caBundle } : {});
    if (found.confirmed) {
      return {
        asked,
        standing: "as left",
        said: plain(found.drift ?? `${found.confirmed.url} serves the pinned file`),
      };
    }
    return found.drift === undefined
      ? { asked, standing: "not known", said: plain(found.unreachable ?? "nobody was asked") }
      : { asked, standing: "changed", said: plain(found.drift) };
  } catch (error) {
    return { asked, standing: "not known", said: error instanceof Error ? error.message : String(error) };
  }
}
