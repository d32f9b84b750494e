import { type Manifest, Repository } from "../components/registry.ts";
import { plannedTags } from "./changes.ts";
import type { Plan } from "./events.ts";
import { type LastRelease, outputsBefore } from "./report.ts";

/** Finds out about the last release, from the stack's state and from the registry, which is asked without a login. */
export async function lastRelease(plan: Plan): Promise<LastRelease> {
  const { imageRef } = outputsBefore(plan);
  if (typeof imageRef === "string" && imageRef !== "") {
    const [name = "", digest = ""] = imageRef.split("@");
    return { imageRef, ...(await described(name.replace(/:[^:/]+$/, ""), digest)) };
  }
  // Without state (a fork's pull request), the moving tag in the registry is the best that there is to compare with.
  const moving = plannedTags(plan)[0];
  if (!moving) {
    return {};
  }
  const { labels, ...rest } = await described(moving.replace(/:[^:/]+$/, ""), moving.split(":").at(-1) ?? "");
  const [revision, version] = ["revision", "version"].map((key) => labels?.[`org.opencontainers.image.${key}`]);
  const published = { reference: moving, ...(revision && { revision }), ...(version && { version }) };
  return { ...rest, ...(labels && { published }) };
}

interface Described {
  compressedBytes?: number;
  labels?: Record<string, string>;
  note?: string;
}

async function described(repositoryName: string, reference: string): Promise<Described> {
  try {
    const repository = new Repository(repositoryName, undefined);
    const manifest = await firstPlatform(repository, (await repository.manifest(reference)).manifest);
    const compressedBytes = (manifest.layers ?? []).reduce((sum, { size }) => sum + size, 0);
    const config = JSON.parse((await repository.blob(manifest.config?.digest ?? "")).toString());
    return { compressedBytes, labels: config.config?.Labels ?? {} };
  } catch (error) {
    return { note: error instanceof Error ? error.message : String(error) };
  }
}

async function firstPlatform(repository: Repository, manifest: Manifest): Promise<Manifest> {
  const first = manifest.manifests?.find(({ platform }) => platform?.os !== "unknown");
  return first ? (await repository.manifest(first.digest)).manifest : manifest;
}
