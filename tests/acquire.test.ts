import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { downloadTar, reachable } from "../local/acquire.ts";

let folder: string;
let archive: Buffer;
const cleanups: (() => void)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-acquire-"));
  mkdirSync(join(folder, "made/pulumi"), { recursive: true });
  writeFileSync(join(folder, "made/pulumi/pulumi"), "#!/bin/sh\n", { mode: 0o755 });
  // Random bytes do not compress, so that a cut is in the middle of something.
  writeFileSync(join(folder, "made/pulumi/data"), crypto.getRandomValues(Buffer.alloc(60_000)));
  archive = execFileSync("tar", ["-cz", "-C", join(folder, "made"), "pulumi"]);
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) {
    cleanup();
  }
  rmSync(folder, { recursive: true, force: true });
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/tool.tar.gz`;
}

const target = () => join(folder, "tools", "pulumi");

describe("an official download", () => {
  test("is unpacked without its top folder", async () => {
    const url = await serve((_, response) => response.end(archive));
    expect(await downloadTar(url, target(), 1)).toBe(true);
    expect(readFileSync(join(target(), "pulumi"), "utf8")).toBe("#!/bin/sh\n");
  });

  test.each([
    ["is cut short", (_, response) => response.end(archive.subarray(0, archive.length / 2))],
    [
      "breaks off",
      (_, response) => {
        response
          .writeHead(200, { "content-length": archive.length })
          .write(archive.subarray(0, 1000), () => response.destroy());
      },
    ],
    ["is a page of a portal", (_, response) => response.end("<html>Please log in</html>")],
    ["is not there", (_, response) => response.writeHead(404).end()],
  ] as [string, RequestListener][])("that %s leaves nothing behind", async (_name, answer) => {
    const url = await serve(answer);
    expect(await downloadTar(url, target(), 1)).toBe(false);
    expect(existsSync(target())).toBe(false);
    expect(readdirSync(join(folder, "tools"))).toEqual([]);
  });
});

test("a site is reachable when it answers anything at all, and is not waited for when it does not", async () => {
  expect(await reachable(await serve((_, response) => response.writeHead(403).end()))).toBe(true);
  const silent = await serve(() => {});
  expect(await reachable(silent, 100)).toBe(false);
  expect(await reachable("http://127.0.0.1:2/")).toBe(false);
});
