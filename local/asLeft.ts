// node local/asLeft.ts FILE: ends with 0 where all that a local stack's state names is known to be as the last update left it.
import { readFileSync } from "node:fs";
import { probe } from "../artifacts/probe.ts";
import { askAll } from "../reports/drift/ask.ts";
import { type RememberedModel, readState } from "../reports/drift/state.ts";
import { verdict } from "../reports/drift/table.ts";

/** In the same version, too: a refresh writes a new one down. */
async function isServed(model: RememberedModel): Promise<boolean> {
  const { etag, lastModified, caBundle, ...spec } = model;
  const validators = { ...(etag && { etag }), ...(lastModified && { lastModified }) };
  const { confirmed, drift } = await probe({ ...spec, validators }, caBundle ? { caBundle } : {});
  return drift === undefined && confirmed?.url === model.url && (confirmed.etag ?? "") === etag;
}

const { checkpoint } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const { models, ...published } = readState(JSON.stringify({ deployment: checkpoint.latest }));
const [answers, served] = await Promise.all([
  askAll({ ...published, models: [] }),
  Promise.all(models.map((model) => isServed(model).catch(() => false))),
]);
const asLeft = verdict(answers) === "as left" && models.length > 0 && served.every(Boolean);
process.exitCode = asLeft ? 0 : 1;
