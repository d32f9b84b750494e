import { expect } from "vitest";
import type { Outputs } from "../harness.ts";
import { elfMachines, look, type Published, treeOf } from "../look.ts";
import type { Config } from "./configs.ts";
import { judgeRevision, saidIn } from "./revisions.ts";
import type { Place } from "./sources.ts";
import { applicationOf, below, differences } from "./trees.ts";
import type { Told, World } from "./world.ts";

const label = (name: string) => `org.opencontainers.image.${name}`;

/** What the registry has: the digest of each tag. */
export async function registryOf({ clone }: World): Promise<Record<string, string | undefined>> {
  const tags = await clone.tags();
  const digests = await Promise.all(tags.map((tag) => digestOf(clone, tag)));
  return Object.fromEntries(tags.map((tag, at) => [tag, digests[at]]));
}

/** What the registry answers for a tag or a digest; undefined where it has none. */
export async function digestOf(clone: World["clone"], reference: string): Promise<string | undefined> {
  const { status, digest } = await clone.registry("GET", `manifests/${reference}`);
  expect([200, 404], `the registry itself answers ${status}, so nothing can be judged`).toContain(status);
  return status === 200 ? digest : undefined;
}

/** Holds what the outputs say of a release against the registry and the bytes that are in it. */
export async function judgeRelease(world: World, config: Config, place?: Place, told?: Told): Promise<Outputs> {
  const { clone } = world;
  const outputs = await clone.outputs();
  if (config.what === "no push") {
    expect(outputs.digest, "the outputs name a digest of what was not pushed").toBe("");
    expect(outputs.imageRef, "the outputs name an image that was not pushed").toBe("");
    return outputs;
  }
  await judgeTags(world);
  expect(outputs.tags, "the outputs name a moving and an immutable tag").toHaveLength(2);
  expect(outputs.imageRef, "imageRef is the immutable tag and the digest").toBe(`${outputs.tags[1]}@${outputs.digest}`);

  const image = await look(clone, outputs.digest);
  expect(image.labels, "the image has the labels that the outputs say").toMatchObject(outputs.labels);
  expect(image.labels[label("revision")], "the label and the output `revision` differ").toBe(outputs.revision);
  expect(image.labels[label("version")], "the label and the output `version` differ").toBe(outputs.version);
  expect(outputs.version, "the version is not the one that was asked for").toBe(config.version ?? "1.0.0");
  expect(`${image.os}/${image.architecture}`, "the platform is not the one that was asked for").toBe(
    /^platform (.*)$/.exec(config.what)?.[1] ?? "linux/amd64",
  );
  expect(image.machine, `the image says that it is ${image.architecture}, and its Python is not`).toBe(
    elfMachines[image.architecture],
  );
  for (const { file, sha256, sizeBytes } of Object.values(outputs.models)) {
    expect(image.models.get(file), `${file} is not what the outputs say`).toEqual({ sha256, sizeBytes });
  }
  judgeApplication(image, outputs, place ?? ofTheClone(world), told);
  return outputs;
}

/** Holds the tags that the outputs name against the registry. Where nothing was pushed, they are those that it would have. */
export async function judgeTags({ clone }: World): Promise<void> {
  const { tags, digest } = await clone.outputs();
  for (const tag of digest === "" ? [] : tags) {
    expect(tag.startsWith(`${clone.repository}:`), `${tag} is not of this repository`).toBe(true);
    const named = await digestOf(clone, tag.slice(clone.repository.length + 1));
    expect(named, `${tag} is said to be ${digest}`).toBe(digest);
  }
}

/** The application of the clone itself. */
export function ofTheClone({ clone }: World): Place {
  return { folder: `${clone.folder}/app`, repository: clone.folder, prefix: "app/", environment: {} };
}

/** Every revision that was ever said, and what the image had then. */
const revisions = new Map<string, string>();

function judgeApplication(image: Published, { revision }: Outputs, place: Place, told?: Told): void {
  const work = treeOf(place.folder);
  const inWork = below("src/", applicationOf(work));
  const inImage = [...image.application.keys()];
  expect(inImage.sort(), "the files in the image are not those of the source").toEqual(inWork.sort());
  expect(differences(inImage, image.application, work), "files in the image are not as in the source").toEqual([]);

  const content = JSON.stringify([...image.application].sort());
  expect(revisions.get(revision) ?? content, `${revision} was also said of other files`).toBe(content);
  revisions.set(revision, content);

  const commit = judgeRevision(revision, place, told && saidIn(told.events.warnings, revision));
  if (commit) {
    const paths = [...new Set([...inImage, ...below("src/", applicationOf(commit))])];
    expect(
      differences(paths, image.application, commit),
      `the revision is the clean commit ${revision}, but the image has other files than git ls-tree`,
    ).toEqual([]);
  }
}

/** Nothing that was published before an update has changed by it. */
export function expectUnchanged(
  before: Record<string, string | undefined>,
  after: Record<string, string | undefined>,
  why: string,
): void {
  expect(after, `${why}, but the registry is not as it was`).toEqual(before);
}

/** Asks `make drift`, and holds each of its answers and its exit code against the registry and what was done to upstream. */
export async function judgeDrift(world: World, upstream: Record<string, string>): Promise<number> {
  const { clone } = world;
  const { code, text } = await clone.drift();
  const { tags, digest, imageRef } = await clone.outputs();
  const answers = new Map(
    [...text.matchAll(/^(as left|changed|not known) +(.+)\n {11}/gm)].map(([, standing, asked = ""]) => [
      asked,
      standing,
    ]),
  );
  const expected = new Map<string, string>();
  for (const reference of imageRef === "" ? [] : [`${clone.repository}@${digest}`, ...tags]) {
    const named = await digestOf(clone, reference.slice(clone.repository.length + 1));
    expected.set(reference, named === digest ? "as left" : "changed");
  }
  for (const [title, standing] of Object.entries(upstream)) {
    const asked = [...answers.keys()].find((one) => one.startsWith(`${title} (`));
    expected.set(asked ?? title, standing);
  }
  expect(Object.fromEntries(answers), "an answer of drift is not what there is").toEqual(Object.fromEntries(expected));
  const standings = new Set(expected.values());
  const truth = standings.has("changed") ? 2 : standings.has("not known") ? 3 : 0;
  expect(code, `the exit code of drift is not that of its answers:\n${text}`).toBe(truth);
  return code;
}
