// Servers that fast-check makes up: each answer follows a script of its own, down to its framing and its pace.

import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import fc from "fast-check";
import { mostly } from "./archives.ts";

export interface Answer {
  head: "fine" | "no HTTP" | "nothing" | "hints for ever" | "headers for ever" | "slow" | "closed";
  status: number;
  body: "good" | "other" | "page" | "nothing";
  version: "strong" | "weak" | "dated" | "none" | "odd" | "new each time";
  framing: "length" | "chunked" | "until close" | "too long" | "too short" | "no number" | "two lengths";
  pace: "fast" | "drip" | "stall" | "pieces";
  /** Where the connection ends, as a part of the body. */
  cut: number | undefined;
  reset: boolean;
  ranges: "honoured" | "ignored" | "lies" | "capped" | "misplaced" | "too much";
  conditions: "honoured" | "ignored" | "always 304" | "304 of another";
  location: "elsewhere" | "itself" | "nowhere" | "empty" | "with the secret" | "of another kind";
  extra:
    | "nothing"
    | "Retry-After: 0"
    | "Retry-After: 1"
    | "Retry-After: 99999"
    | "an encoding"
    | "a page's type"
    | "controls";
}

const statuses = [
  206, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 410, 416, 425, 429, 500, 501, 503, 504, 600,
];

const answer: fc.Arbitrary<Answer> = fc.record({
  head: mostly<Answer["head"]>(
    "fine",
    "fine",
    "no HTTP",
    "nothing",
    "hints for ever",
    "headers for ever",
    "slow",
    "closed",
  ),
  status: fc.oneof({ arbitrary: fc.constant(200), weight: 3 }, { arbitrary: fc.constantFrom(...statuses), weight: 1 }),
  body: mostly<Answer["body"]>("good", "other", "page", "nothing"),
  version: fc.constantFrom<Answer["version"]>("strong", "strong", "weak", "dated", "none", "odd", "new each time"),
  framing: mostly<Answer["framing"]>(
    "length",
    "chunked",
    "until close",
    "too long",
    "too short",
    "no number",
    "two lengths",
  ),
  pace: mostly<Answer["pace"]>("fast", "drip", "stall", "pieces"),
  cut: mostly<number | undefined>(undefined, 0, 0.01, 0.5, 0.99),
  reset: fc.boolean(),
  ranges: fc.constantFrom<Answer["ranges"]>(
    "honoured",
    "honoured",
    "ignored",
    "lies",
    "capped",
    "misplaced",
    "too much",
  ),
  conditions: mostly<Answer["conditions"]>("honoured", "ignored", "always 304", "304 of another"),
  location: fc.constantFrom<Answer["location"]>(
    "elsewhere",
    "itself",
    "nowhere",
    "empty",
    "with the secret",
    "of another kind",
  ),
  extra: mostly<Answer["extra"]>(
    "nothing",
    "Retry-After: 0",
    "Retry-After: 1",
    "Retry-After: 99999",
    "an encoding",
    "a page's type",
    "controls",
  ),
});

/** The answers in order; the last one is given again and again. */
export type Script = Answer[];

export const honest: Script = [
  {
    head: "fine",
    status: 200,
    body: "good",
    version: "strong",
    framing: "length",
    pace: "fast",
    cut: undefined,
    reset: false,
    ranges: "honoured",
    conditions: "honoured",
    location: "itself",
    extra: "nothing",
  },
];

export const script: fc.Arbitrary<Script> = fc.oneof(
  { arbitrary: fc.constant(honest), weight: 1 },
  { arbitrary: fc.array(answer, { minLength: 1, maxLength: 4 }), weight: 3 },
  // Trouble first, and then none.
  { arbitrary: fc.array(answer, { minLength: 1, maxLength: 2 }).map((some) => [...some, ...honest]), weight: 2 },
);

export interface Served {
  good: Buffer;
  other: Buffer;
  secret: string;
}

export interface FuzzServer {
  port: number;
  requests: number;
  close(): void;
}

const step = 30;

export async function play(plan: Script, served: Served): Promise<FuzzServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const timers: NodeJS.Timeout[] = [];
    let text = "";
    socket
      .on("error", () => {})
      .on("close", () => {
        sockets.delete(socket);
        for (const timer of timers) {
          clearInterval(timer);
        }
      });
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const request = text.slice(0, end);
        text = text.slice(end + 4);
        const count = state.requests++;
        const told = /^\S+ \/elsewhere/.test(request) ? honest[0] : plan[Math.min(count, plan.length - 1)];
        new Reply(socket, timers, told as Answer, served, request, count).send();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const state: FuzzServer = {
    port: (server.address() as AddressInfo).port,
    requests: 0,
    close() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
  return state;
}

class Reply {
  readonly #socket: Socket;
  readonly #timers: NodeJS.Timeout[];
  readonly #answer: Answer;
  readonly #served: Served;
  readonly #request: string;
  readonly #count: number;

  constructor(
    socket: Socket,
    timers: NodeJS.Timeout[],
    answer: Answer,
    served: Served,
    request: string,
    count: number,
  ) {
    this.#socket = socket;
    this.#timers = timers;
    this.#answer = answer;
    this.#served = served;
    this.#request = request;
    this.#count = count;
  }

  send(): void {
    const heads: Record<Answer["head"], () => unknown> = {
      fine: () => this.#answerNow(),
      slow: () => this.#timers.push(setTimeout(() => this.#answerNow(), 2 * step)),
      nothing: () => {},
      closed: () => this.#socket.destroy(),
      "no HTTP": () => this.#socket.end("220 ftp.example ready\r\n"),
      "hints for ever": () => this.#every(() => this.#socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")),
      "headers for ever": () => {
        this.#socket.write("HTTP/1.1 200 OK\r\n");
        this.#every(() => this.#socket.write("x-more: and more\r\n"));
      },
    };
    heads[this.#answer.head]();
  }

  #every(act: () => void): void {
    this.#timers.push(setInterval(act, step));
  }

  #asked(header: string): string | undefined {
    return new RegExp(`^${header}: *(.*)$`, "im").exec(this.#request)?.[1];
  }

  #answerNow(): void {
    const { status } = this.#answer;
    const version = this.#version();
    const confirmed = status === 200 ? this.#confirmation(version) : undefined;
    if (confirmed !== undefined) {
      this.#write(304, confirmed, Buffer.alloc(0));
    } else if (status >= 300 && status < 309) {
      this.#write(status, { ...version, ...this.#location() }, Buffer.from("moved"));
    } else {
      this.#writeFrom(Number(/bytes=(\d+)-/.exec(this.#asked("range") ?? "")?.[1] ?? Number.NaN), version);
    }
  }

  /** The headers of a 304, if this server gives one. */
  #confirmation(version: Record<string, string>): Record<string, string> | undefined {
    const { conditions } = this.#answer;
    const known = this.#asked("if-none-match") ?? this.#asked("if-modified-since");
    if (known === undefined || conditions === "ignored") {
      return undefined;
    }
    if (conditions === "304 of another") {
      return { etag: '"another"' };
    }
    const same = known === version.etag || known === version["last-modified"];
    return same || conditions === "always 304" ? version : undefined;
  }

  #writeFrom(from: number, version: Record<string, string>): void {
    const { status, ranges } = this.#answer;
    const body = this.#body();
    if (status !== 200 || Number.isNaN(from) || ranges === "ignored") {
      this.#write(status, version, body);
      return;
    }
    const first = ranges === "misplaced" ? Math.max(0, from - 7) : from;
    const end = ranges === "capped" ? Math.min(body.length, first + 70_000) : body.length;
    const told = ranges === "lies" ? Buffer.alloc(body.length, "lie") : body;
    const more = Buffer.from(ranges === "too much" ? "more" : "");
    const range = { "content-range": `bytes ${first}-${end - 1}/${body.length}` };
    this.#write(206, { ...version, ...range }, Buffer.concat([told.subarray(first, end), more]));
  }

  #version(): Record<string, string> {
    switch (this.#answer.version) {
      case "strong":
        return { etag: '"v1"' };
      case "weak":
        return { etag: 'W/"v1"' };
      case "dated":
        return { "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT", date: "Fri, 02 Jan 2026 00:00:00 GMT" };
      case "odd":
        return { etag: '"\xe4\xff \x01"' };
      case "new each time":
        return { etag: `"${this.#count}"` };
      default:
        return {};
    }
  }

  #location(): Record<string, string> {
    const secret = `http://bob:${this.#served.secret}@127.0.0.1:9/m?x=${this.#served.secret}`;
    switch (this.#answer.location) {
      case "elsewhere":
        return { location: "/elsewhere" };
      case "itself":
        return { location: this.#request.split(" ")[1] ?? "/" };
      case "empty":
        return { location: "" };
      case "with the secret":
        return { location: secret };
      case "of another kind":
        return { location: secret.replace("http:", "ftp:") };
      default:
        return {};
    }
  }

  #body(): Buffer {
    switch (this.#answer.body) {
      case "good":
        return this.#served.good;
      case "other":
        return this.#served.other;
      case "page":
        return Buffer.from("<!DOCTYPE html><title>Sign in</title>");
      default:
        return Buffer.alloc(0);
    }
  }

  #write(status: number, headers: Record<string, string>, body: Buffer): void {
    const { framing, extra } = this.#answer;
    const empty = status === 304 || status === 204;
    const all: [string, string][] = [...Object.entries(headers), ...extraHeaders[extra]];
    if (!empty) {
      all.push(...framings[framing](body.length));
    }
    const reason = extra === "controls" ? "\x1b[2J\x07" : "Whatever";
    const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    this.#socket.write(`HTTP/1.1 ${status} ${reason}\r\n${lines}\r\n`, "latin1");
    if (!empty) {
      this.#pour(framing === "chunked" ? chunked(body) : body);
    }
  }

  #pour(bytes: Buffer): void {
    const { cut, reset, pace, framing } = this.#answer;
    const end = cut === undefined ? bytes.length : Math.floor(cut * bytes.length);
    const over = () => {
      if (cut !== undefined && reset) {
        this.#timers.push(setTimeout(() => this.#socket.resetAndDestroy(), 5));
      } else if (cut !== undefined || framing === "until close" || framing === "two lengths") {
        this.#socket.end();
      }
    };
    if (pace === "fast") {
      this.#socket.write(bytes.subarray(0, end), over);
      return;
    }
    if (pace === "stall") {
      this.#socket.write(bytes.subarray(0, end >> 1));
      return;
    }
    const size = pace === "drip" ? 1 : Math.ceil(end / 4);
    let sent = 0;
    this.#every(() => {
      if (sent < end) {
        this.#socket.write(bytes.subarray(sent, sent + size));
        sent += size;
      } else if (sent !== Infinity) {
        sent = Infinity;
        over();
      }
    });
  }
}

const extraHeaders: Record<Answer["extra"], [string, string][]> = {
  nothing: [],
  "Retry-After: 0": [["retry-after", "0"]],
  "Retry-After: 1": [["retry-after", "1"]],
  "Retry-After: 99999": [["retry-after", "99999"]],
  "an encoding": [["content-encoding", "x\x1b[2J"]],
  "a page's type": [["content-type", "text/html"]],
  controls: [],
};

const framings: Record<Answer["framing"], (length: number) => [string, string][]> = {
  length: (length) => [["content-length", String(length)]],
  chunked: () => [["transfer-encoding", "chunked"]],
  "until close": () => [["connection", "close"]],
  "too long": (length) => [["content-length", String(length + 10)]],
  "too short": (length) => [["content-length", String(Math.max(0, length - 10))]],
  "no number": () => [["content-length", "many"]],
  "two lengths": (length) => [
    ["content-length", String(length)],
    ["content-length", String(length + 1)],
  ],
};

function chunked(bytes: Buffer): Buffer {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += 30_000) {
    const chunk = bytes.subarray(at, at + 30_000);
    chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  return Buffer.concat([...chunks, Buffer.from("0\r\n\r\n")]);
}
