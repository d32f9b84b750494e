import { execFileSync } from "node:child_process";
import { createReadStream, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { output } from "../../local/exec.ts";
import { paths, root } from "../../local/paths.ts";
import { wheelsAddress } from "../../local/wheels.ts";
import { run } from "../run.ts";
import { Clone } from "./harness.ts";
import { layerFiles } from "./look.ts";

// A user and a password before the host, and a token beside the URL. The builder knows one credential for each host name.
const password = "zq-PASSWORD-41";
const token = "zq-TOKEN-42";
const wheelPassword = "zq-WHEELS-43";
const secrets = [password, token, wheelPassword];
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;
const inHeader = (secret: string) => basic(`ann:${secret}`).replace("Basic ", "");

let clone: Clone;
let server: Server;
const refused: string[] = [];

/** Serves models to who has the right credential, and passes on what the wheel index has. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { url = "/", headers } = request;
  const wanted = url.startsWith("/basic/")
    ? basic(`ann:${password}`)
    : url.startsWith("/bearer/")
      ? `Bearer ${token}`
      : basic(`ann:${wheelPassword}`);
  if (headers.authorization !== wanted) {
    refused.push(url);
    response.writeHead(401, { "www-authenticate": "Basic" }).end();
  } else if (url.startsWith("/whl/")) {
    const found = await fetch(`${wheelsAddress(clone.ports)}${url}`, { redirect: "follow" });
    const type = found.headers.get("content-type") ?? "application/octet-stream";
    response.writeHead(found.status, { "content-type": type }).end(Buffer.from(await found.arrayBuffer()));
  } else {
    createReadStream(join(clone.artifacts, basename(url))).pipe(response);
  }
}

beforeAll(async () => {
  clone = await Clone.make();
  server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server?.close();
  clone?.remove();
});

async function setSecret(path: string, value: string): Promise<void> {
  const args = [
    "config",
    "set",
    "--secret",
    "--path",
    path,
    value,
    "--stack",
    "local",
    "--config-file",
    clone.configFile,
  ];
  await output("pulumi", args, { cwd: clone.folder, env: clone.environment });
}

function expectNone(unwanted: readonly string[], text: string, place: string): void {
  for (const secret of unwanted) {
    const at = text.indexOf(secret);
    expect(at, `${secret} is in the ${place}: ${text.slice(Math.max(0, at - 300), at + 100)}`).toBe(-1);
  }
}

test("no credential is in a state, log, output, build record or layer, and the servers that want it get it", async () => {
  const { port } = server.address() as AddressInfo;
  await setSecret(
    "facecraft:models.codeformer.urls[0]",
    `http://ann:${password}@localhost:${port}/basic/codeformer.pth`,
  );
  await setSecret("facecraft:models.u2net.urls[0]", `http://127.0.0.1:${port}/bearer/u2net_human_seg-graph.onnx`);
  await setSecret("facecraft:models.u2net.token", token);
  await setSecret("facecraft:torchIndexUrl", `http://ann:${wheelPassword}@localhost:${port}/whl/cpu`);

  const { code, text } = await clone.up();
  expect({ code, text }).toSucceed();
  const { imageRef, ...outputs } = await clone.outputs();
  expect(outputs.torchIndexUrl).toBe(`http://localhost:${port}/whl/cpu`);

  const exported = ["stack", "export", "--stack", "local"];
  const state = await output("pulumi", exported, { cwd: clone.folder, env: clone.environment });
  const records = await run(
    ["buildctl", "--addr", `unix://${paths.buildkitSocket}`, "debug", "histories"],
    clone.folder,
    clone.environment,
  );
  const places: Record<string, string> = { log: text, state, outputs: JSON.stringify(outputs), records: records.text };
  for (const [place, found] of Object.entries(places)) {
    expectNone([...secrets, ...[password, wheelPassword].map(inHeader)], found, place);
  }
  for (const file of await layerFiles(clone, imageRef.split("@")[1] as string)) {
    const hits = execFileSync("sh", [
      "-c",
      '(tar -xOf "$0" 2>/dev/null || cat "$0") | grep -c -a -e zq-PASSWORD -e zq-TOKEN -e zq-WHEELS || true',
      file,
    ]);
    expect(hits.toString().trim(), file).toBe("0");
  }

  // The engine masks the config's values in its debug log, not what is made of them. Of -v=9 the last test of this file tells.
  const debugged = await clone.pulumi("preview", "-v=8", "--logflow", "--logtostderr");
  expect(debugged).toSucceed();
  expectNone(secrets, debugged.text, "debug log");

  // A refresh asks with the credentials, too, and a rotated password changes nothing that is built.
  expect(await clone.pulumi("refresh", "--expect-no-changes")).toSucceed();
  expect(await clone.up("--expect-no-changes")).toSucceed();
});

test("a URL that is signed in its query is refused on preview, without its signature", async () => {
  await setSecret("facecraft:models.codeformer.urls[0]", "https://a.example/c.pth?X-Amz-Signature=zq-SIGNED-44");
  const { code, text } = await clone.pulumi("preview");
  expect(code).not.toBe(0);
  expect(text).toContain("facecraft:models.codeformer.urls[0]");
  expect(text).toContain("without a credential in its query");
  expect(text).not.toContain("zq-SIGNED-44");
});

test("the engine's debug log at -v=9 shows the secrets of any program with a dynamic resource, which the README says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-bare-"));
  try {
    writeFileSync(join(folder, "Pulumi.yaml"), "name: bare\nruntime: nodejs\nmain: index.cjs\n");
    writeFileSync(
      join(folder, "index.cjs"),
      `const { dynamic } = require("@pulumi/pulumi");
       new (class extends dynamic.Resource {})({ async create() { return { id: "1" }; } }, "one", {});`,
    );
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const env = { ...clone.environment, PULUMI_BACKEND_URL: pathToFileURL(folder).href };
    const pulumi = (...args: string[]) => run(["pulumi", ...args, "--stack", "bare", "--non-interactive"], folder, env);
    await pulumi("stack", "init");
    await pulumi("config", "set", "--secret", "word", "zq-WORD-45");
    const shown = async (level: number) => {
      const { code, text } = await pulumi("preview", `-v=${level}`, "--logtostderr");
      expect({ code, text }).toSucceed();
      return text.includes("zq-WORD-45");
    };
    expect({ 8: await shown(8), 9: await shown(9) }).toEqual({ 8: false, 9: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
