import { readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { paths } from "../../../local/paths.ts";
import type { World } from "./world.ts";

/** What somebody else did to the registry, or an upstream. */
export const disturbances = {
  async "the moving tag was moved"({ clone }: World) {
    await clone.moveTag("cpu");
  },
  async "the immutable tag was moved"({ clone }: World) {
    await clone.moveTag(await immutable(clone), "somebody else's, too");
  },
  async "the moving tag was deleted"({ clone }: World) {
    await clone.registry("DELETE", "manifests/cpu");
  },
  async "the immutable tag was deleted"({ clone }: World) {
    await clone.registry("DELETE", `manifests/${await immutable(clone)}`);
  },
  async "the image was deleted"({ clone }: World) {
    await clone.registry("DELETE", `manifests/${(await clone.outputs()).digest}`);
  },
} as const;
export type Disturbance = keyof typeof disturbances;
export const disturbance = fc.constantFrom(...(Object.keys(disturbances) as Disturbance[]));

/** What became of the file of CodeFormer, and what is true of it then. */
export const upstreams = {
  "as it was": "as left",
  "touched, with the same bytes": "as left",
  "other bytes": "changed",
  "other bytes of the same size and time": "changed",
  gone: "changed",
  "no answer": "not known",
} as const;
export type Upstream = keyof typeof upstreams;
export const upstream = fc.constantFrom(...(Object.keys(upstreams) as Upstream[]));

/** Whether an update must stop. */
export const stops = (upstream: Upstream) => upstreams[upstream] === "changed";

/** What drift has to say of each model. */
export function standingsOf(upstream: Upstream): Record<string, string> {
  const others = upstream === "no answer" ? "not known" : "as left";
  return { "shape predictor": others, CodeFormer: upstreams[upstream], "u2net human seg": others };
}

/** The same in the words of a preview's report. */
export function reportedOf(upstream: Upstream): Record<string, string> {
  const words: Record<string, string> = { "as left": "as pinned", changed: "drifted", "not known": "not known" };
  return Object.fromEntries(
    Object.entries(standingsOf(upstream)).map(([title, standing]) => [title, words[standing] ?? standing]),
  );
}

/** Does it. @returns what takes it back */
export async function disturbUpstream({ clone }: World, upstream: Upstream): Promise<() => Promise<void>> {
  const file = join(clone.artifacts, "codeformer.pth");
  const bytes = readFileSync(file);
  const other = Buffer.from(bytes);
  other[0] = (other[0] ?? 0) ^ 1;
  const then = new Date(1_700_000_000_000);
  switch (upstream) {
    case "touched, with the same bytes":
      utimesSync(file, new Date(), new Date());
      break;
    case "other bytes":
      writeFileSync(file, Buffer.concat([bytes, Buffer.from("more")]));
      break;
    case "other bytes of the same size and time":
      writeFileSync(file, other);
      utimesSync(file, then, then);
      break;
    case "gone":
      renameSync(file, `${file}.gone`);
      break;
    case "no answer":
      await clone.serveModels(false);
      return () => clone.serveModels(true);
    default:
      return async () => {};
  }
  return async () => writeFileSync(file, bytes);
}

async function immutable(clone: World["clone"]): Promise<string> {
  return (await clone.outputs()).tags[1]?.split(":").at(-1) ?? "";
}

/** A registry that passes reading on to the real one and refuses what `refuses` says. */
export interface Grumpy {
  status: number;
  refuses: "reading" | "uploads" | "manifests";
}

export const grumpy: fc.Arbitrary<Grumpy> = fc.record({
  status: fc.constantFrom(401, 403, 405, 500, 503),
  refuses: fc.constantFrom("reading", "uploads", "manifests"),
});

export async function serveGrumpily(
  { clone }: World,
  { status, refuses }: Grumpy,
): Promise<{ host: string; stop(): void }> {
  const ca = readFileSync(join(paths.tls, "ca.pem"));
  const isRefused = (method: string, url: string) =>
    refuses === "reading"
      ? url !== "/v2/"
      : refuses === "uploads"
        ? method === "POST" || method === "PATCH"
        : method === "PUT" && url.includes("/manifests/");
  const server = createServer((asked, response) => {
    const { method = "GET", url = "/", headers } = asked;
    if (isRefused(method, url)) {
      asked.resume();
      answer(response, status);
      return;
    }
    const own = { ...headers, host: `localhost:${clone.ports.registry}` };
    const passed = request(`https://localhost:${clone.ports.registry}${url}`, { method, headers: own, ca }, (got) => {
      // The registry names itself; what follows comes here, too.
      const { location, ...rest } = got.headers;
      const next = location && { location: location.replace(/^https?:\/\/[^/]+/, "") };
      response.writeHead(got.statusCode ?? 502, { ...rest, ...next });
      got.pipe(response);
    });
    passed.on("error", () => answer(response, 502));
    asked.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `localhost:${(server.address() as AddressInfo).port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** What it says when it refuses. */
export const grumpyWords = "not today";

function answer(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code: "DENIED", message: grumpyWords }] }));
}
