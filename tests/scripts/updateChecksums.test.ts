import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { replaceFiles } from "../../scripts/replaceFiles.ts";
import { staticFile, temporaryFolder } from "../artifacts/server.ts";
import { files } from "../artifacts/trial.ts";
import { bodies, codeformer, dockerfile, project, shape, stale, u2net } from "./project.ts";

test("both Dockerfiles get what upstream serves, in every stage, and nothing else changes in them", async () => {
  const { run, texts, server, paths } = await project([stale, stale, u2net]);
  chmodSync(paths[1], 0o640);
  const { code, out, err } = await run();
  expect(err).toContain(`CodeFormer: downloading ${server.url}/codeformer.pth`);
  expect(code).toBe(0);
  expect(texts()).toEqual([
    dockerfile(server.url, [shape, codeformer, u2net]),
    dockerfile(server.url, [shape, codeformer, u2net]),
  ]);
  expect(out).toContain(`${paths[0]}: CODEFORMER_SHA256\n    ${stale} -> ${codeformer}`);
  expect(out).toContain(`${paths[1]}: SHAPE_PREDICTOR_DOWNLOAD_SHA256\n    ${stale} -> ${shape}`);
  expect(out).toContain(`u2net human seg: unchanged, ${u2net} (60.0 kB)`);
  expect(out).toContain("Next: ");
  expect(statSync(paths[1]).mode & 0o777).toBe(0o640);
});

test("MODEL=codeformer downloads and patches that one only", async () => {
  const { run, texts, server } = await project([stale, stale, stale]);
  expect((await run({ MODEL: "codeformer" })).code).toBe(0);
  expect(server.requests.map(({ url }) => url)).toEqual(["/codeformer.pth"]);
  expect(texts()[0]).toBe(dockerfile(server.url, [stale, codeformer, stale]));
});

test("MODEL=nonsense is refused with the names there are", async () => {
  const { run, server } = await project([stale, stale, stale]);
  const { code, err } = await run({ MODEL: "nonsense" });
  expect([code, err.trim()]).toEqual([1, "MODEL=nonsense is no model; there is shapePredictor, codeformer, u2net."]);
  expect(server.requests.length).toBe(0);
});

test("CHECK=1 passes when all agree, and says so", async () => {
  const { run } = await project([shape, codeformer, u2net]);
  const { code, out } = await run({ CHECK: "1" });
  expect(code).toBe(0);
  expect(out.match(/unchanged/g)).toHaveLength(3);
});

test("CHECK=1 fails on a pin that is not upstream's, and changes nothing", async () => {
  const { run, texts, server } = await project([shape, codeformer, stale]);
  const { code, out } = await run({ CHECK: "1" });
  expect(code).toBe(1);
  expect(out).toContain(`${stale} -> ${u2net}`);
  expect(texts()[0]).toBe(dockerfile(server.url, [shape, codeformer, stale]));
});

test("CHECK=1 fails when the two Dockerfiles disagree", async () => {
  const { run } = await project([shape, codeformer, u2net], [shape, stale, u2net]);
  const { code, out } = await run({ CHECK: "1", MODEL: "CODEFORMER" });
  expect(code).toBe(1);
  expect(out).toContain("CodeFormer: the Dockerfiles disagree about CODEFORMER_SHA256: ");
});

test("a model that cannot be had leaves both Dockerfiles as they were, although the others came", async () => {
  const { run, texts, server } = await project([stale, stale, stale]);
  const before = texts();
  server.answer((request, response, count) =>
    request.url === "/u2net.onnx"
      ? response.writeHead(404).end()
      : staticFile(bodies[request.url!]!)(request, response, count),
  );
  const { code, err } = await run();
  expect(code).toBe(1);
  expect(err).toContain(
    `u2net human seg: ${server.url}/u2net.onnx cannot be fetched: the server answered 404 Not Found.`,
  );
  expect(texts()).toEqual(before);
});

test("a Dockerfile without the pin is named before anything is downloaded", async () => {
  const { run, paths, server } = await project([stale, stale, stale]);
  writeFileSync(paths[1], "FROM scratch\n");
  const { code, err } = await run();
  expect([code, err.trim()]).toEqual([1, `shape predictor: ${paths[1]} has no line "ARG SHAPE_PREDICTOR_URL=...".`]);
  expect(server.requests.length).toBe(0);
});

test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "%s in the middle leaves both Dockerfiles as they were",
  async (signal) => {
    const { start, texts, server, folder } = await project([stale, stale, stale]);
    const before = texts();
    server.answer((request, response) => {
      response.writeHead(200, { "content-length": 100_000 });
      response.write(bodies[request.url!]!.subarray(0, 1000));
    });
    const child = start();
    while (server.requests.length < 3) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill(signal);
    const [code] = await once(child, "close");
    expect(code).not.toBe(0);
    expect(texts()).toEqual(before);
    expect(files(folder)).toEqual(["Dockerfile.cpu", "Dockerfile.gpu"]);
  },
);

test("when one file cannot be replaced, the other is not", () => {
  const folder = temporaryFolder();
  const [one, two] = [join(folder, "one"), join(folder, "two")];
  writeFileSync(one, "before");
  mkdirSync(two);
  expect(() =>
    replaceFiles([
      { path: one, text: "after" },
      { path: two, text: "after" },
    ]),
  ).toThrow();
  expect(readFileSync(one, "utf8")).toBe("before");
  expect(files(folder)).toEqual(["one", "two"]);
});

test("when a rename fails, what was replaced before it is taken back", () => {
  const folder = temporaryFolder();
  const path = join(folder, "one");
  writeFileSync(path, "before");
  // The same file twice: the second rename finds its temporary file gone.
  expect(() =>
    replaceFiles([
      { path, text: "after" },
      { path, text: "after" },
    ]),
  ).toThrow("ENOENT");
  expect(readFileSync(path, "utf8")).toBe("before");
  expect(files(folder)).toEqual(["one"]);
});
