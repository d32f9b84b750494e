import * as v from "valibot";
import { RegistryError } from "./errors.ts";

const row = { name: v.string(), version: v.string() };

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const Schema = v.object({
  /** Of the base, by its /etc/os-release. */
  distribution: v.object({ id: v.string(), version: v.string(), title: v.string() }),
  /** The Python that the application runs on, which may be no package of the base. */
  interpreter: v.object({ version: v.string(), file: v.string() }),
  /** Python packages of the application's environment. */
  python: v.array(
    v.object({
      ...row,
      /** Which index it came from: default or torch. */
      index: v.nullable(v.string()),
      /** The wheel, or the source that pip made one of. */
      file: v.nullable(v.string()),
      /** Of that file. */
      sha256: v.nullable(sha256),
    }),
  ),
  /** Python packages that the base has for its own Python, which the application does not see. */
  basePython: v.array(v.object({ ...row, folder: v.string() })),
  debian: v.array(
    v.object({
      ...row,
      architecture: v.string(),
      /** Its source package: `name`, or `name version` where the version is another. */
      source: v.string(),
    }),
  ),
  models: v.array(
    v.object({
      /** Absolute path in the image. */
      file: v.string(),
      title: v.string(),
      /** Of the (decompressed) file. */
      sha256,
      sizeBytes: v.number(),
      /** Where it was asked for, without user, password, query and fragment; empty where that is secret. */
      url: v.string(),
    }),
  ),
});

/** What an image is made of, as its proof wrote it down beside the record, sorted by names and paths. */
export type Contents = v.InferOutput<typeof Schema>;

/** @param name how to call the image in a message. @throws RegistryError for a text of another shape */
export function parseContents(text: string, name: string): Contents {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new RegistryError(`${name} has a list of its contents that is no JSON.`);
  }
  const { issues, output } = v.safeParse(Schema, parsed);
  if (issues) {
    const [{ message, path }] = issues;
    const where = path?.map(({ key }) => String(key)).join(".") ?? "all of it";
    throw new RegistryError(`${name} has a list of its contents of another shape: ${where}: ${message}.`);
  }
  return output;
}
