import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseRetryAfter } from "../../artifacts/http.ts";
import { type Handler, noise, serve, sha256, staticFile } from "./server.ts";
import { files, trial } from "./trial.ts";

const body = noise(400_000);
const other = noise(400_000);

/** Answers the first request with the head of the file, then does something rude; afterwards behaves. */
function once(rude: Handler, then: Handler): Handler {
  return (request, response, count) => (count === 1 ? rude : then)(request, response, count);
}

/** Sends `length` bytes of the file, then closes the connection. */
function closeAfter(length: number, etag?: string): Handler {
  return (_request, response) => {
    response.writeHead(200, { "content-length": body.length, ...(etag ? { etag } : {}) });
    response.write(body.subarray(0, length), () => response.socket?.destroySoon());
  };
}

/** The same with a reset, which may also take what the client has not read yet. */
function resetAfter(length: number, etag: string): Handler {
  return (_request, response) => {
    response.writeHead(200, { "content-length": body.length, etag });
    response.write(body.subarray(0, length), () => setTimeout(() => response.socket?.resetAndDestroy(), 20));
  };
}

describe("a connection that breaks", () => {
  test.each([1, 50, 99])("at %i %% is continued from there, with Range and If-Range", async (percent) => {
    const length = (body.length * percent) / 100;
    const server = await serve(once(closeAfter(length, '"v1"'), staticFile(body, '"v1"')));
    const { fetch } = trial();
    const artifact = await fetch(`${server.url}/m.pth`, body);
    expect(readFileSync(artifact.path)).toEqual(body);
    expect(server.requests[1]?.headers).toMatchObject({ range: `bytes=${length}-`, "if-range": '"v1"' });
  });

  test.each([1, 50, 99])("by a reset at %i %% is continued from what had arrived", async (percent) => {
    const length = (body.length * percent) / 100;
    const server = await serve(once(resetAfter(length, '"v1"'), staticFile(body, '"v1"')));
    expect(readFileSync((await trial().fetch(`${server.url}/m.pth`, body)).path)).toEqual(body);
    const from = Number(/^bytes=(\d+)-$/.exec(server.requests[1]?.headers.range ?? "bytes=0-")?.[1]);
    expect(from).toBeLessThanOrEqual(length);
  });

  test("starts over when the server sent nothing that proves the version", async () => {
    const server = await serve(once(closeAfter(200_000), staticFile(body)));
    await trial().fetch(`${server.url}/m.pth`, body);
    expect(server.requests[1]?.headers.range).toBeUndefined();
  });

  test("starts over when the version only has a weak ETag", async () => {
    const server = await serve(once(closeAfter(200_000, 'W/"v1"'), staticFile(body, 'W/"v1"')));
    await trial().fetch(`${server.url}/m.pth`, body);
    expect(server.requests[1]?.headers.range).toBeUndefined();
  });

  test("that breaks every time is given up with the cause", async () => {
    const server = await serve(closeAfter(200_000, '"v1"'));
    await trial().refuses(`${server.url}/m.pth`, body, /cannot be fetched: .*(reset|closed)/, { retries: 2 });
    expect(server.requests.length).toBe(3);
  });

  test("that refuses to open is given up with the cause", async () => {
    const server = await serve(staticFile(body));
    await server.close();
    await trial().refuses(`${server.url}/m.pth`, body, "the connection was refused (ECONNREFUSED)", { retries: 1 });
  });
});

describe("never splices two versions:", () => {
  test("a server that ignores Range is read from the start", async () => {
    const ignoring: Handler = (_request, response) =>
      response.writeHead(200, { etag: '"v1"', "content-length": body.length }).end(body);
    const server = await serve(once(closeAfter(200_000, '"v1"'), ignoring));
    expect(readFileSync((await trial().fetch(`${server.url}/m.pth`, body)).path)).toEqual(body);
  });

  test("a 206 with another ETag is not appended, but the new version is fetched whole", async () => {
    const server = await serve((request, response, count) => {
      if (count === 1) {
        return closeAfter(200_000, '"v1"')(request, response, count);
      }
      const start = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      const head = { etag: '"v2"', "content-length": other.length - start };
      const range = { "content-range": `bytes ${start}-${other.length - 1}/${other.length}` };
      response.writeHead(request.headers.range ? 206 : 200, request.headers.range ? { ...head, ...range } : head);
      response.end(other.subarray(start));
    });
    const { fetch, retries } = trial();
    expect(readFileSync((await fetch(`${server.url}/m.pth`, other)).path)).toEqual(other);
    expect(retries).toContain("the file changed on the server during the transfer");
  });

  test("a 206 of the wrong range is not appended", async () => {
    const server = await serve((request, response, count) => {
      if (count === 1) {
        return closeAfter(200_000, '"v1"')(request, response, count);
      }
      if (!request.headers.range) {
        return staticFile(body, '"v1"')(request, response, count);
      }
      const range = { "content-range": `bytes 100-${body.length - 1}/${body.length}`, etag: '"v1"' };
      response.writeHead(206, { ...range, "content-length": body.length - 100 }).end(body.subarray(100));
    });
    expect(readFileSync((await trial().fetch(`${server.url}/m.pth`, body)).path)).toEqual(body);
  });

  test("If-Range that no longer holds brings the new version whole", async () => {
    const server = await serve(once(closeAfter(200_000, '"v1"'), staticFile(other, '"v2"')));
    expect(readFileSync((await trial().fetch(`${server.url}/m.pth`, other)).path)).toEqual(other);
  });
});

describe("a truncated body", () => {
  test("with Content-Length is noticed, retried and given up", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(200, { "content-length": body.length, connection: "close" });
      response.write(body.subarray(0, 300_000), () => response.socket?.end());
    });
    await trial().refuses(
      `${server.url}/m.pth`,
      body,
      /cannot be fetched: .*(closed|not as long as its Content-Length)/,
      { retries: 1 },
    );
  });

  test("without Content-Length is caught by the hash, and the message says what may have happened", async () => {
    const server = await serve((_request, response) => {
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200, { connection: "close" });
      response.end(body.subarray(0, 300_000));
    });
    const cause =
      /wrong sha256: .* size 300000 bytes \(the server did not say how long it is, so it may be cut short\)/;
    await trial().refuses(`${server.url}/m.pth`, body, cause);
    expect(server.requests.length).toBe(1);
  });
});

test("a server that stalls in the middle is dropped and the transfer continued", async () => {
  const stall: Handler = (_request, response) => {
    response.writeHead(200, { "content-length": body.length, etag: '"v1"' });
    response.write(body.subarray(0, 100_000));
  };
  const server = await serve(once(stall, staticFile(body, '"v1"')));
  const { fetch, retries } = trial();
  await fetch(`${server.url}/m.pth`, body, { idleTimeoutMs: 400 });
  expect(retries).toEqual([expect.stringMatching(/^the transfer stalled/)]);
  expect(server.requests[1]?.headers.range).toBe("bytes=100000-");
});

test("a server that trickles bytes for ever counts as stalled", async () => {
  const server = await serve((_request, response) => {
    response.writeHead(200, { "content-length": body.length });
    const timer = setInterval(() => response.write("x"), 20);
    response.on("close", () => clearInterval(timer));
  });
  await trial().refuses(`${server.url}/m.pth`, body, "too slow to come to an end", { idleTimeoutMs: 300, retries: 1 });
});

test("503 twice and then success is a success, and each pause is told", async () => {
  const server = await serve((request, response, count) =>
    count < 3 ? response.writeHead(503).end("busy") : staticFile(body)(request, response, count),
  );
  const { fetch, retries } = trial();
  await fetch(`${server.url}/m.pth`, body);
  expect(retries).toHaveLength(2);
  expect(retries[0]).toContain("503");
});

test.each([408, 429, 500, 502, 504])("%i is retried", async (status) => {
  const server = await serve(once((_request, response) => response.writeHead(status).end(), staticFile(body)));
  await trial().fetch(`${server.url}/m.pth`, body);
});

test("429 with Retry-After waits as long as the server asks", async () => {
  const times: number[] = [];
  const server = await serve((request, response, count) => {
    times.push(performance.now());
    if (count === 1) {
      response.writeHead(429, { "retry-after": "1" }).end();
    } else {
      staticFile(body)(request, response, count);
    }
  });
  await trial().fetch(`${server.url}/m.pth`, body);
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(990);
});

test("a Retry-After beyond patience is given up at once, naming the time", async () => {
  const server = await serve((_request, response) => response.writeHead(503, { "retry-after": "86400" }).end());
  await trial().refuses(`${server.url}/m.pth`, body, "asks to wait 86400 s");
  expect(server.requests.length).toBe(1);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(parseRetryAfter("7", now)).toBe(7000);
  expect(parseRetryAfter("Thu, 01 Jan 2026 00:00:09 GMT", now)).toBe(9000);
  expect(parseRetryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
  expect(parseRetryAfter("soon", now)).toBeUndefined();
});

test.each([
  [404, "the server answered 404 Not Found"],
  [410, "the server answered 410 Gone"],
  [401, "the server answered 401 Unauthorized"],
  [403, "the server answered 403 Forbidden"],
  [204, "the server answered 204 No Content"],
])("%i is not retried", async (status, cause) => {
  const server = await serve((_request, response) => response.writeHead(status).end());
  await trial().refuses(`${server.url}/m.pth`, body, cause);
  expect(server.requests.length).toBe(1);
});

describe("redirects", () => {
  test("are followed, and the answer is reported under the URL that was asked", async () => {
    const server = await serve((request, response, count) =>
      request.url === "/m.pth"
        ? response.writeHead(302, { location: "/elsewhere?sig=1" }).end()
        : staticFile(body)(request, response, count),
    );
    expect((await trial().fetch(`${server.url}/m.pth`, body)).url).toBe(`${server.url}/m.pth`);
  });

  test("in a loop are given up", async () => {
    const server = await serve((_request, response) => response.writeHead(302, { location: "/m.pth" }).end());
    await trial().refuses(`${server.url}/m.pth`, body, "redirects in a loop");
    expect(server.requests.length).toBe(11);
  });

  test("to another host do not carry the credentials along", async () => {
    const target = await serve(staticFile(body));
    const server = await serve((_request, response) =>
      response.writeHead(302, { location: `${target.url}/m.pth` }).end(),
    );
    await trial().fetch(`${server.url.replace("://", "://user:word@")}/m.pth`, body);
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${btoa("user:word")}`);
    expect(target.requests[0]?.headers.authorization).toBeUndefined();
  });
});

describe("wrong bytes", () => {
  test("an HTML login page with status 200 is called one", async () => {
    const page = "<!DOCTYPE html><title>Sign in</title>";
    const server = await serve((_request, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end(page),
    );
    await trial().refuses(`${server.url}/m.pth`, body, "it is an HTML page, perhaps of a login or an error");
    await trial().refuses(`${server.url}/m.dat.bz2`, body, /not \.bz2 data \(it is an HTML page/);
  });

  test("the right size with one flipped byte is refused with both hashes, and not retried", async () => {
    const flipped = Buffer.from(body);
    flipped[123_456]! ^= 1;
    const server = await serve(staticFile(flipped));
    const cause = `expected ${sha256(body)}, actual ${sha256(flipped)}, size ${body.length} bytes`;
    await trial().refuses(`${server.url}/m.pth`, body, cause);
    expect(server.requests.length).toBe(1);
  });

  test("on mirror 1 and right ones on mirror 2 pass, with a warning about mirror 1", async () => {
    const bad = await serve(staticFile(other));
    const good = await serve(staticFile(body));
    const { fetch, warnings } = trial();
    const artifact = await fetch([`${bad.url}/m.pth`, `${good.url}/m.pth`], body);
    expect(artifact.url).toBe(`${good.url}/m.pth`);
    expect(readFileSync(artifact.path)).toEqual(body);
    expect(warnings).toEqual([expect.stringContaining(`${bad.url}/m.pth serves a file with the wrong sha256`)]);
  });

  test("on every mirror name every mirror", async () => {
    const one = await serve(staticFile(other));
    const two = await serve((_request, response) => response.writeHead(404).end());
    await trial().refuses([`${one.url}/m.pth`, `${two.url}/m.pth`], body, /wrong sha256.*; and .*404/);
  });

  test("an empty body is refused", async () => {
    const server = await serve((_request, response) => response.writeHead(200, { "content-length": 0 }).end());
    await trial().refuses(`${server.url}/m.pth`, body, "size 0 bytes");
    await trial().refuses(`${server.url}/m.dat.bz2`, body, "corrupt or cut short");
  });
});

test("a pin that is empty, short or not hexadecimal is refused before any request", async () => {
  const server = await serve(staticFile(body));
  for (const pin of ["", "abc", "g".repeat(64), `${"0".repeat(63)} `]) {
    await expect(trial().fetch(`${server.url}/m.pth`, pin)).rejects.toThrow("a sha256 is 64 hexadecimal digits");
  }
  await expect(trial().fetch([], body)).rejects.toThrow("CodeFormer: no URL is given.");
  expect(server.requests.length).toBe(0);
});

test("an aborted fetch leaves nothing behind", async () => {
  const server = await serve((_request, response) => {
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, 200_000));
  });
  const abort = new AbortController();
  const { fetch, cacheDir } = trial();
  const onProgress = () => abort.abort(new Error("stopped by the user"));
  await expect(fetch(`${server.url}/m.pth`, body, { signal: abort.signal, onProgress })).rejects.toThrow("stopped by");
  expect(files(cacheDir)).toEqual([]);
});
