import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, test, vi } from "vitest";
import { RegistryError } from "../../registry/errors.ts";
import { Repository } from "../../registry/repository.ts";
import { Contents, listen, serve, sha256 } from "./server.ts";

// The user's own login must decide no test.
vi.stubEnv("DOCKER_CONFIG", "/nowhere");

/** What a promise is refused with, as the sentence that a person sees. */
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(RegistryError);
    return (error as Error).message;
  }
  return expect.unreachable("it was not refused");
}

async function all(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces = [];
  for await (const piece of bytes) {
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

describe("a manifest", () => {
  test("is found by its tag or digest, and told with its digest", async () => {
    const contents = new Contents();
    const manifest = { layers: [] };
    const digest = contents.manifest(manifest, "cpu");
    const repository = new Repository(`${await serve(contents.answer)}/facecraft`);
    expect(await repository.manifest("cpu")).toEqual({ digest, manifest });
    expect(await repository.manifest(digest)).toEqual({ digest, manifest });
  });

  test("that is another than that of the digest, too long, or none at all is refused", async () => {
    const contents = new Contents();
    const host = await serve(contents.answer);
    const repository = new Repository(`${host}/facecraft`);
    const digest = contents.manifest({ layers: [] });
    contents.replace(`manifests/${digest}`, "{}");
    contents.replace("manifests/long", `{"a":"${"x".repeat(5 << 20)}"}`);
    contents.replace("manifests/text", "<html>");
    contents.replace("manifests/list", "[]");
    expect(await refusal(repository.manifest(digest))).toBe(
      `${host} answered ${digest} of facecraft with a manifest whose digest is ${sha256("{}")}.`,
    );
    expect(await refusal(repository.manifest("long"))).toBe(
      `${host} answered manifest long of facecraft with more than 4194304 bytes.`,
    );
    for (const name of ["text", "list"]) {
      expect(await refusal(repository.manifest(name))).toBe(
        `http://${host}/v2/facecraft/manifests/${name} was answered with something else than a manifest.`,
      );
    }
  });
});

describe("a blob", () => {
  const content = Buffer.from("x".repeat(300_000));

  test("comes as it is, whole or as it streams", async () => {
    const contents = new Contents();
    const descriptor = contents.blob(content);
    const repository = new Repository(`${await serve(contents.answer)}/facecraft`);
    expect(await repository.blob(descriptor)).toEqual(content);
    expect(await all(repository.stream({ digest: descriptor.digest }))).toEqual(content);
  });

  test("with other, fewer or more bytes than its digest and size say is an error", async () => {
    const contents = new Contents();
    const { digest, size } = contents.blob(content);
    const host = await serve(contents.answer);
    const repository = new Repository(`${host}/facecraft`);
    const other = /answered blob sha256:\w+ of facecraft with other bytes/;
    for (const wrong of [
      content.subarray(1),
      content.map((byte, at) => (at === 9 ? byte ^ 1 : byte)),
      gzipSync(content),
    ]) {
      contents.replace(`blobs/${digest}`, Buffer.from(wrong));
      expect(await refusal(all(repository.stream({ digest, size })))).toMatch(other);
      expect(await refusal(repository.blob({ digest }))).toMatch(other);
    }
    contents.replace(`blobs/${digest}`, Buffer.concat([content, content]));
    expect(await refusal(all(repository.stream({ digest, size })))).toBe(
      `${host} answered blob ${digest} of facecraft with more than its 300000 bytes.`,
    );
  });

  test("that is cut off says so", async () => {
    const host = await serve((_, response) => {
      response.writeHead(200, { "content-length": "300000" }).write("x".repeat(1000));
      setTimeout(() => response.destroy(), 50);
    });
    const message = await refusal(new Repository(`${host}/facecraft`).blob({ digest: sha256(content) }));
    expect(message).toMatch(/blobs\/sha256:\w+ was not answered to its end: .*closed/);
  });

  test("that a registry keeps elsewhere is fetched there, without the authorization for the registry", async () => {
    const seen: (string | undefined)[] = [];
    const storage = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end(content);
    });
    const host = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      } else if (request.url?.startsWith("/v2/facecraft/")) {
        response.writeHead(307, { location: "/moved" }).end();
      } else {
        seen.push(request.headers.authorization);
        response.writeHead(302, { location: `http://${storage}/blob?X-Amz-Signature=s3cret` }).end();
      }
    });
    const repository = new Repository(`${host}/facecraft`, { username: "u", password: "p" });
    expect(await repository.blob({ digest: sha256(content) })).toEqual(content);
    expect(seen).toEqual([`Basic ${btoa("u:p")}`, undefined]);
  });

  test("whose storage is ill is told by the registry's address, because the other one may hold a signature", async () => {
    const storage = await serve((_, response) => response.writeHead(403).end("<Error/>"));
    const host = await serve((request, response) => {
      const location = request.url?.endsWith("gone") ? "http://localhost:1" : `http://${storage}`;
      response.writeHead(307, { location: `${location}/blob?sig=s3cret` }).end();
    });
    const repository = new Repository(`${host}/facecraft`);
    const blob = `http://${host}/v2/facecraft/blobs`;
    expect(await refusal(repository.blob({ digest: "x" }))).toBe(
      `${blob}/x answered 403 Forbidden; log in with \`docker login ${host}\`.`,
    );
    expect(await refusal(repository.blob({ digest: "gone" }))).toBe(
      `${host} sends to localhost:1, which cannot be reached: the connection was refused (ECONNREFUSED).`,
    );
  });

  test("is not looked for in a circle, nor where nothing is", async () => {
    const host = await serve((request, response) => {
      const location = request.url?.endsWith("circle") ? request.url : "mailto:somebody";
      response.writeHead(302, { location }).end();
    });
    const repository = new Repository(`${host}/facecraft`);
    expect(await refusal(repository.blob({ digest: "circle" }))).toContain("is redirected in a loop");
    expect(await refusal(repository.blob({ digest: "mail" }))).toContain(
      "is redirected (302) without a usable Location",
    );
  });
});

describe("a registry that asks for a login", () => {
  const manifest = "{}";

  /** A registry that takes one authorization, and asks everybody else for it. */
  function guarded(authorization: string, challenge: string | string[]): Promise<string> {
    return serve((request, response) => {
      const known = request.headers.authorization === authorization;
      const errors = [{ code: "UNAUTHORIZED", message: "authentication required" }];
      response.writeHead(known ? 200 : 401, known ? {} : { "www-authenticate": challenge });
      response.end(known ? manifest : JSON.stringify({ errors }));
    });
  }

  test("with a token gets it from its own token service, which alone gets the credentials", async () => {
    const seen: string[] = [];
    const tokens = await serve((request, response) => {
      const { searchParams } = new URL(request.url ?? "", "http://x");
      seen.push(`${request.headers.authorization} ${searchParams.get("service")} ${searchParams.get("scope")}`);
      response.end(JSON.stringify({ token: "t0ken" }));
    });
    const host = await guarded(
      "Bearer t0ken",
      `Bearer realm="http://${tokens}/token",service="r",scope="repository:a,b:pull"`,
    );
    const repository = new Repository(`${host}/team/facecraft`, { username: "u", password: "p:q" });
    expect((await repository.manifest("cpu")).digest).toBe(sha256(manifest));
    expect((await repository.manifest("gpu")).digest).toBe(sha256(manifest));
    expect(seen).toEqual([`Basic ${btoa("u:p:q")} r repository:a,b:pull`]);
  });

  test("may answer without one, for what everybody may read", async () => {
    const tokens = await serve((request, response) => {
      expect(request.headers.authorization).toBeUndefined();
      expect(request.url).toBe("/token?a=b&scope=repository%3Ateam%2Ffacecraft%3Apull");
      response.end(JSON.stringify({ access_token: "anonymous" }));
    });
    const host = await guarded("Bearer anonymous", [`Basic realm="r"`, `Bearer realm="http://${tokens}/token?a=b"`]);
    expect((await new Repository(`${host}/team/facecraft`).manifest("cpu")).digest).toBe(sha256(manifest));
  });

  test("is told what its token service says, and how to log in, but no secret though it is repeated", async () => {
    const tokens = await serve((request, response) => {
      const details = `no such user: ${request.headers.authorization} (hidden)\nsee\u001b[31m there`;
      response.writeHead(401).end(JSON.stringify({ details }));
    });
    const host = await guarded("", `Bearer realm="http://${tokens}/token"`);
    const repository = new Repository(`${host}/facecraft`, { username: "u", password: "hidden" });
    expect(await refusal(repository.manifest("cpu"))).toBe(
      `${tokens} refused a token for facecraft: 401 Unauthorized (no such user: Basic *** (***) see [31m there); log in with \`docker login ${host}\`.`,
    );
  });

  test("and refuses it says its status, its code and how to log in", async () => {
    for (const challenge of ['Basic realm="r"', ""]) {
      const host = await guarded("Basic other", challenge);
      const expected = `http://${host}/v2/facecraft/manifests/cpu answered 401 Unauthorized (UNAUTHORIZED: authentication required); log in with \`docker login ${host}\`.`;
      expect(await refusal(new Repository(`${host}/facecraft`).manifest("cpu"))).toBe(expected);
      const repository = new Repository(`${host}/facecraft`, { username: "u", password: "p" });
      expect(await refusal(repository.manifest("cpu"))).toBe(expected);
    }
  });

  test("does not get credentials for a token service that is no URL, or gives none", async () => {
    const empty = await serve((_, response) => response.end("{}"));
    const cases = {
      nowhere: "The token service for facecraft is said to be at no usable URL.",
      [`http://${empty}/`]: `The token service ${empty} answered without a token.`,
      "http://localhost:1/":
        "The token service localhost:1 cannot be reached: the connection was refused (ECONNREFUSED).",
    };
    for (const [realm, message] of Object.entries(cases)) {
      const host = await guarded("", `Bearer realm="${realm}"`);
      expect(await refusal(new Repository(`${host}/facecraft`).manifest("cpu"))).toBe(message);
    }
  });
});

describe("a registry that is slow", () => {
  const waiting = { silenceMs: 60_000, answerMs: 300, slowest: 1e9 };

  test("to take the connection, to answer, or to go on is not waited for longer than its deadline", async () => {
    const silent = `localhost:${await listen(createServer(() => {}))}`;
    const stuck = await serve(() => {});
    const drip = await serve((_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    });
    for (const host of [silent, stuck, drip]) {
      const repository = new Repository(`${host}/facecraft`, undefined, waiting);
      expect(await refusal(repository.manifest("cpu"))).toMatch(
        new RegExp(`^https?://${host}/v2/facecraft/manifests/cpu was not answered to its end within 0.3 s\\.$`),
      );
    }
  });

  test("may take longer for a large blob, by its size", async () => {
    const content = Buffer.from("slow but sure");
    const host = await serve(async (_, response) => {
      response.writeHead(200);
      for (const byte of content) {
        response.write(Buffer.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      response.end();
    });
    const repository = new Repository(`${host}/facecraft`, undefined, { ...waiting, slowest: 0.5 });
    const descriptor = { digest: sha256(content), size: content.length };
    expect(await repository.blob(descriptor)).toEqual(content);
    expect(await refusal(repository.blob({ digest: descriptor.digest }))).toContain("within 0.3 s");
  });

  test("and falls silent in the middle is not waited for until the deadline", async () => {
    const host = await serve((_, response) => void response.writeHead(200).write("{"));
    const repository = new Repository(`${host}/facecraft`, undefined, {
      ...waiting,
      silenceMs: 1000,
      answerMs: 60_000,
    });
    expect(await refusal(repository.manifest("cpu"))).toContain("the transfer stalled (UND_ERR_BODY_TIMEOUT)");
  });
});

test("a registry that is not there is said with its name and what happened", async () => {
  expect(await refusal(new Repository("localhost:1/facecraft").manifest("cpu"))).toBe(
    "The registry localhost:1 cannot be reached: the connection was refused (ECONNREFUSED).",
  );
  expect(await refusal(new Repository("registry.invalid/facecraft").manifest("cpu"))).toMatch(
    /^The registry registry\.invalid cannot be reached: the host name (is unknown|could not be looked up)/,
  );
});
