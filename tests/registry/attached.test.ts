import type { RequestListener } from "node:http";
import { describe, expect, test, vi } from "vitest";
import { forgetMissing, listAttached, predicateTypes } from "../../registry/attached.ts";
import { Refused } from "../../registry/errors.ts";
import { Repository } from "../../registry/repository.ts";
import { Contents, serve } from "./server.ts";

// The user's own login must decide no test.
vi.stubEnv("DOCKER_CONFIG", "/nowhere");

const image = `sha256:${"1".repeat(64)}`;
const indexType = "application/vnd.oci.image.index.v1+json";

/** A manifest as cosign attaches it. */
const attached = (type?: string) => ({
  subject: { digest: image },
  annotations: type && { "dev.sigstore.bundle.predicateType": type },
});

/** What the registry has beside the image: one of each kind, and something of somebody else's. */
function filled() {
  const contents = new Contents();
  const kinds = [...Object.values(predicateTypes), "https://example.org/other", undefined];
  const digests = kinds.map((type, index) => contents.manifest({ ...attached(type), index }));
  const all = ["signature", "cyclonedx", "slsaprovenance1", "other", "other"];
  return { contents, digests, expected: digests.map((digest, index) => ({ digest, kind: all[index] })) };
}

const indexOf = (digests: readonly string[]) => ({
  schemaVersion: 2,
  mediaType: indexType,
  manifests: digests.map((digest) => ({ digest, artifactType: "application/vnd.dev.sigstore.bundle.v0.3+json" })),
});

/** A registry with the referrers API. */
const withReferrers =
  ({ answer }: Contents, digests: readonly string[]): RequestListener =>
  (request, response) =>
    request.url === `/v2/facecraft/referrers/${image}`
      ? response.writeHead(200, { "content-type": indexType }).end(JSON.stringify(indexOf(digests)))
      : answer(request, response);

describe("what is attached to an image is listed", () => {
  test("by the referrers API", async () => {
    const { contents, digests, expected } = filled();
    const repository = new Repository(`${await serve(withReferrers(contents, digests))}/facecraft`);
    expect(await listAttached(repository, image)).toEqual(expected);
  });

  test.each([400, 404, 405])("by a tag where the registry answers %i to that", async (status) => {
    const { contents, digests, expected } = filled();
    contents.manifest(indexOf(digests), image.replace(":", "-"));
    const answer: RequestListener = (request, response) =>
      request.url?.includes("/referrers/") ? response.writeHead(status).end() : contents.answer(request, response);
    expect(await listAttached(new Repository(`${await serve(answer)}/facecraft`), image)).toEqual(expected);
  });

  test("without what the list names and the registry no longer has", async () => {
    const { contents, digests, expected } = filled();
    contents.manifest(indexOf([`sha256:${"f".repeat(64)}`, ...digests]), image.replace(":", "-"));
    const repository = new Repository(`${await serve(contents.answer)}/facecraft`);
    expect(await listAttached(repository, image)).toEqual(expected);
  });

  test("as nothing where there is no list", async () => {
    expect(await listAttached(new Repository(`${await serve(new Contents().answer)}/facecraft`), image)).toEqual([]);
  });

  test("by nobody where something else has the tag of the list", async () => {
    const contents = new Contents();
    contents.manifest({ config: {} }, image.replace(":", "-"));
    const repository = new Repository(`${await serve(contents.answer)}/facecraft`);
    await expect(listAttached(repository, image)).rejects.toThrow(/with what is no list\.$/);
  });

  test("by nobody where the registry refuses", async () => {
    const host = await serve((_request, response) => response.writeHead(403).end());
    await expect(listAttached(new Repository(`${host}/facecraft`), image)).rejects.toThrow(Refused);
  });
});

describe("a list that names what is gone", () => {
  const gone = `sha256:${"f".repeat(64)}`;

  /** A registry that takes manifests. */
  function writable(contents: Contents): { answer: RequestListener; stored: string[] } {
    const stored: string[] = [];
    const answer: RequestListener = (request, response) => {
      if (request.method !== "PUT") {
        return contents.answer(request, response);
      }
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        stored.push(`${request.url} ${Buffer.concat(parts)}`);
        response.writeHead(201).end();
      });
    };
    return { answer, stored };
  }

  test("is written without that, and with all that is there as it was", async () => {
    const { contents, digests } = filled();
    contents.manifest(indexOf([gone, ...digests]), image.replace(":", "-"));
    const { answer, stored } = writable(contents);
    await forgetMissing(new Repository(`${await serve(answer)}/facecraft`), image);
    expect(stored).toEqual([`/v2/facecraft/manifests/${image.replace(":", "-")} ${JSON.stringify(indexOf(digests))}`]);
  });

  test("is left alone where nothing is gone, where there is none, and where the registry keeps it", async () => {
    const { contents, digests } = filled();
    const { answer, stored } = writable(contents);
    const repository = async (listener: RequestListener) => new Repository(`${await serve(listener)}/facecraft`);
    await forgetMissing(await repository(answer), image);
    contents.manifest(indexOf(digests), image.replace(":", "-"));
    await forgetMissing(await repository(answer), image);
    await forgetMissing(await repository(withReferrers(contents, [gone])), image);
    expect(stored).toEqual([]);
  });
});
