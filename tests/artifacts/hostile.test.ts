import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Handler, noise, serve, serveRaw, staticFile } from "./server.ts";
import { files, trial } from "./trial.ts";

const body = noise(400_000);

// Short enough to wait for; without a deadline, each of these servers would be waited for until the test's own time is up.
const short = { idleTimeoutMs: 300, retries: 1, graceMs: 4000 };

/** Sends a byte now and then, for ever. */
function drip(status: number, headers: Record<string, string> = {}): Handler {
  return (_request, response) => {
    response.writeHead(status, headers);
    const timer = setInterval(() => response.write("x"), 100);
    response.on("close", () => clearInterval(timer));
  };
}

describe("a body that drips for ever", () => {
  test.each([
    [302, { location: "/good" }],
    [302, { location: "/good", "content-length": "1000000" }],
  ])("behind a redirect (%i) does not keep the redirect from being followed", async (status, headers) => {
    const server = await serve((request, ...rest) =>
      (request.url === "/good" ? staticFile(body) : drip(status, headers))(request, ...rest),
    );
    await trial().fetch(`${server.url}/m.pth`, body);
  });

  test.each([404, 403, 500, 503])("behind a %i does not keep its cause from being told", async (status) => {
    const server = await serve(drip(status));
    await trial().refuses(`${server.url}/m.pth`, body, `the server answered ${status}`, short);
  });

  test("behind the version that is known costs no more than a moment", async () => {
    const server = await serve(staticFile(body, '"v1"'));
    const { fetch, warnings } = trial();
    await fetch(`${server.url}/m.pth`, body);
    server.answer(drip(200, { etag: '"v1"' }));
    await fetch(`${server.url}/m.pth`, body);
    expect(warnings).toEqual([]);
  });
});

describe("headers that never come to an end:", () => {
  test("103 Early Hints without any answer are given up", async () => {
    const url = await serveRaw((socket) => {
      const timer = setInterval(() => socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"), 50);
      socket.on("close", () => clearInterval(timer));
    });
    await trial().refuses(`${url}/m.pth`, body, "the server did not answer in time", short);
  });

  test("one header after the other is given up", async () => {
    const url = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("x-a: b\r\n"), 50);
      socket.on("close", () => clearInterval(timer));
    });
    await trial().refuses(`${url}/m.pth`, body, /did not answer in time|headers of the answer are too long/, short);
  });
});

describe("the whole transfer has a deadline", () => {
  test("of its grace and what its bytes need at the slowest speed, however well it begins anew", async () => {
    // Each attempt gets further, so that none of them counts as in vain.
    const big = noise(12 << 20);
    const server = await serve((request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      const head = { etag: '"v1"', "content-length": big.length - start };
      const range = { "content-range": `bytes ${start}-${big.length - 1}/${big.length}` };
      response.writeHead(start > 0 ? 206 : 200, start > 0 ? { ...head, ...range } : head);
      response.write(big.subarray(start, start + (11 << 17)), () => setTimeout(() => response.destroy(), 400));
    });
    const slow = { idleTimeoutMs: 5000, retries: 1, graceMs: 500, slowestSpeed: 12 << 20 };
    await trial().refuses(
      `${server.url}/m.pth`,
      big,
      /it was not there after 1 s, which is the limit for the \d\.\d MB that came/,
      slow,
    );
  });

  test.each(["300000000", "9007199254740991"])("that a Content-Length of %s does not extend", async (length) => {
    const server = await serve((_request, response) => {
      response.writeHead(200, { "content-length": length });
      const timer = setInterval(() => response.write(body.subarray(0, 70_000)), 20);
      response.on("close", () => clearInterval(timer));
    });
    const limits = { idleTimeoutMs: 5000, retries: 0, graceMs: 500, slowestSpeed: 30 << 20 };
    await trial().refuses(`${server.url}/m.pth`, body, "it was not there after 1 s", limits);
  });

  test("and a mirror that passes it does not take the next one's time", async () => {
    const slow = await serve(drip(200));
    const good = await serve(staticFile(body));
    const { fetch, warnings } = trial();
    const options = { ...short, idleTimeoutMs: 10_000, graceMs: 500 };
    expect((await fetch([`${slow.url}/m.pth`, `${good.url}/m.pth`], body, options)).url).toBe(`${good.url}/m.pth`);
    expect(warnings[0]).toContain("it was not there after");
  });
});

describe("what is waited for", () => {
  test("is told while a server is silent, while it rests, and while it sends", async () => {
    const server = await serve((_request, response, count) => {
      if (count === 1) {
        setTimeout(() => response.writeHead(503, { "retry-after": "1" }).end(), 200);
      } else {
        response.writeHead(200, { "content-length": body.length });
        response.write(body.subarray(0, 100_000));
        setTimeout(() => response.end(body.subarray(100_000)), 300);
      }
    });
    const told: string[] = [];
    const url = `${server.url.replace("://", "://bob:hidden@")}/m.pth`;
    await trial().fetch(url, body, { onWait: (sentence) => told.push(sentence), waitEveryMs: 50 });
    const shown = `${server.url.replace("://", "://***@")}/m.pth`;
    expect(told).toContain(`CodeFormer: waiting for an answer from ${server.url}.`);
    expect(told).toContainEqual(
      expect.stringMatching(/^CodeFormer: waiting for the next attempt at .*, in 1 s, because the server answered 503/),
    );
    expect(told).toContain(`CodeFormer: waiting for the rest of ${shown}: 100.0 kB of 400.0 kB so far.`);
    expect(told.join()).not.toContain("hidden");
  });

  test("is no server that asks for patience, where a verified file is at hand", async () => {
    const server = await serve(staticFile(body, '"v1"'));
    const { fetch, warnings } = trial();
    await fetch(`${server.url}/m.pth`, body);
    server.answer((_request, response) => response.writeHead(503, { "retry-after": "200" }).end());
    await fetch(`${server.url}/m.pth`, body);
    expect(warnings).toEqual([expect.stringContaining("503 Service Unavailable and asks to wait 200 s")]);
    expect(server.requests.length).toBe(2);
  });
});

describe("answers that make no sense have their own cause:", () => {
  test.each([{}, { location: "" }, { location: "http://[bad" }, { location: "ftp://h/m" }])(
    "a redirect to nowhere (%j) is no loop",
    async (headers) => {
      const server = await serve((_request, response) => response.writeHead(302, headers).end());
      await trial().refuses(`${server.url}/m.pth`, body, "the server redirects (302) without a usable Location");
      expect(server.requests.length).toBe(1);
    },
  );

  test.each([206, 416])("%i to a request for the whole file is refused at once", async (status) => {
    const server = await serve((_request, response) =>
      response.writeHead(status, { "content-range": `bytes 0-${body.length - 1}/${body.length}` }).end(body),
    );
    const cause = `the server answered ${status} to a request for the whole file`;
    await trial().refuses(`${server.url}/m.pth`, body, cause);
    expect(server.requests.length).toBe(1);
  });

  test("a 304 of another version is no confirmation, and its version is not remembered", async () => {
    const server = await serve(staticFile(body, '"v1"'));
    const { fetch, refuses } = trial();
    const url = `${server.url}/m.pth`;
    await fetch(url, body);
    const other = noise(400_000);
    server.answer((request, response) => {
      if (request.headers["if-none-match"]) {
        response.writeHead(304, { etag: '"v2"' }).end();
      } else {
        response.writeHead(200, { etag: '"v2"' }).end(other);
      }
    });
    await refuses(url, body, "wrong sha256");
    server.answer(staticFile(other, '"v2"'));
    await refuses(url, body, "wrong sha256");
  });

  test("a 304 that adds a version to a date is taken as it was asked", async () => {
    const date = new Date(Date.now() - 60_000).toUTCString();
    const server = await serve(
      (_request, response) => void response.writeHead(200, { "last-modified": date }).end(body),
    );
    const { fetch } = trial();
    const url = `${server.url}/m.pth`;
    await fetch(url, body);
    server.answer((_request, response) => response.writeHead(304, { etag: '"new"' }).end());
    expect((await fetch(url, body)).etag).toBeUndefined();
    await fetch(url, body);
    expect(server.requests[2]?.headers).toMatchObject({ "if-modified-since": date });
  });

  test("a status text is not repeated: it may hold anything, what steers a terminal too", async () => {
    const url = await serveRaw((socket) =>
      socket.end("HTTP/1.1 403 \x1b[2Jhidden\x07\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "latin1"),
    );
    const error = await trial().refuses(`${url}/m.pth`, body, /the server answered 403 Forbidden\.$|cannot be fetched/);
    expect(error.message).not.toMatch(/hidden|\p{Cc}/u);
  });
});

describe("a file in parts", () => {
  const big = noise(1_500_000);

  /** Breaks the first answer off, and gives the rest in parts of this size. */
  function inParts(size: number, etag = '"v1"'): Handler {
    return (request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      if (start === 0) {
        response.writeHead(200, { "content-length": big.length, etag });
        response.write(big.subarray(0, 100_000), () => response.socket?.destroySoon());
        return;
      }
      const end = Math.min(start + size, big.length);
      const range = `bytes ${start}-${end - 1}/${big.length}`;
      response.writeHead(206, { "content-range": range, "content-length": end - start, etag });
      response.end(big.subarray(start, end));
    };
  }

  test("that a server caps is taken part by part, without pauses", async () => {
    const server = await serve(inParts(150_000));
    const { fetch, retries } = trial();
    expect(readFileSync((await fetch(`${server.url}/m.pth`, big, { retries: 1 })).path)).toEqual(big);
    expect(retries.length).toBe(1);
  });

  test("that are too small for an end is given up", async () => {
    const server = await serve(inParts(10));
    await trial().refuses(`${server.url}/m.pth`, big, "pieces that are too small", { retries: 2 });
    expect(server.requests.length).toBe(3);
  });

  test("that do not fit together is fetched as a whole before anybody is blamed", async () => {
    const spliced = Buffer.from(big);
    spliced.fill(0, 1_000_000);
    const server = await serve((request, response, count) => {
      // A server whose ranges lie, under the right version.
      if (count === 1) {
        inParts(0)(request, response, count);
      } else if (request.headers.range) {
        const start = Number(/\d+/.exec(request.headers.range)?.[0]);
        const range = `bytes ${start}-${big.length - 1}/${big.length}`;
        response.writeHead(206, { "content-range": range, etag: '"v1"' }).end(spliced.subarray(start));
      } else {
        response.writeHead(200, { etag: '"v1"', "content-length": big.length }).end(big);
      }
    });
    expect(readFileSync((await trial().fetch(`${server.url}/m.pth`, big)).path)).toEqual(big);
    expect(server.requests.map(({ headers }) => headers.range !== undefined)).toEqual([false, true, false]);
  });

  test("and wrong as a whole, too, is blamed with the hash that is served", async () => {
    const wrong = noise(1_500_000);
    const server = await serve((request, response, count) => {
      if (count === 1) {
        inParts(0)(request, response, count);
      } else {
        staticFile(wrong, '"v1"')(request, response, count);
      }
    });
    const { createHash } = await import("node:crypto");
    const actual = createHash("sha256").update(wrong).digest("hex");
    await trial().refuses(`${server.url}/m.pth`, big, `actual ${actual}`);
  });

  test("with more bytes than its range announces is not stored", async () => {
    const url = await serveRaw((socket, request, count) => {
      const start = Number(/bytes=(\d+)-/.exec(request)?.[1] ?? 0);
      if (count === 1) {
        socket.write(`HTTP/1.1 200 OK\r\netag: "v1"\r\ncontent-length: ${big.length}\r\n\r\n`);
        socket.end(big.subarray(0, 200_000));
      } else if (start > 0) {
        socket.write(`HTTP/1.1 206 Partial\r\netag: "v1"\r\nconnection: close\r\n`);
        socket.write(`content-range: bytes ${start}-${start + 99_999}/${big.length}\r\n\r\n`);
        socket.end(big.subarray(start, start + 300_000));
      } else {
        socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${big.length}\r\n\r\n`);
        socket.end(big);
      }
    });
    const { fetch, retries } = trial();
    expect(readFileSync((await fetch(`${url}/m.pth`, big)).path)).toEqual(big);
    expect(retries).toContain("the server sent more bytes than it announced");
  });
});

test("a fetch that is stopped in any of its waits ends at once, and leaves nothing behind", async () => {
  const silent = await serve(() => {});
  const resting = await serve((_request, response) => response.writeHead(503, { "retry-after": "100" }).end());
  const dripping = await serve(drip(200));
  for (const { url } of [silent, resting, dripping]) {
    const { fetch, cacheDir } = trial();
    const abort = new AbortController();
    const reason = new Error("stopped by the user");
    setTimeout(() => abort.abort(reason), 300);
    await expect(fetch(`${url}/m.pth`, body, { signal: abort.signal, idleTimeoutMs: 60_000 })).rejects.toBe(reason);
    expect(files(cacheDir)).toEqual([]);
  }
  const stopped = trial().fetch(`${silent.url}/m.pth`, body, { signal: AbortSignal.abort("no") });
  await expect(stopped).rejects.toBe("no");
});
