import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../run.ts";

let tools: string;
let file: string;

beforeEach(() => {
  tools = mkdtempSync(join(tmpdir(), "facecraft-tools-"));
  mkdirSync(join(tools, "local/run"), { recursive: true });
  file = join(tools, "local/ports.json");
});
afterEach(() => rmSync(tools, { recursive: true, force: true }));

/** The choice of a process of its own, because the place of the file is settled when the module is loaded. */
async function choose(running: object = {}, env: Record<string, string> = {}) {
  const module = JSON.stringify(join(import.meta.dirname, "../../local/ports.ts"));
  const code = `const m = await import(${module});
    await m.choosePorts(${JSON.stringify(running)}).then((ports) => console.log(JSON.stringify(ports)), (e) => { console.log(e.message); process.exitCode = 1; });`;
  const { code: exit, text } = await run([process.execPath, "-e", code], ".", {
    ...process.env,
    FACECRAFT_TOOLS: tools,
    ...env,
  });
  return { exit, text: text.trim(), last: text.trim().split("\n").at(-1) ?? "" };
}

describe("the ports of the local services", () => {
  test("are chosen once, and the file is left alone after that", async () => {
    const first = await choose();
    const before = statSync(file, { bigint: true }).mtimeNs;
    expect((await choose()).last).toBe(first.last);
    expect(statSync(file, { bigint: true }).mtimeNs).toBe(before);
    expect(readdirSync(join(tools, "local")).sort()).toEqual(["ports.json", "run"]);
  });

  test.each(["", "{", '{"registry":', "[]", "null", '{"registry":"x","artifacts":0}', "\u0000\u0000"])(
    "are found again from what runs when the file holds %j",
    async (text) => {
      writeFileSync(file, text);
      writeFileSync(join(tools, "local/run/registry.yaml"), 'http: { addr: "localhost:5123", tls: {} }\n');
      const running = {
        registry: "registry serve",
        artifacts: "node file-server.ts a 5124",
        wheels: "node f.ts w 5125",
      };
      const { last, text: said } = await choose(running);
      expect(JSON.parse(last)).toEqual({ registry: 5123, artifacts: 5124, wheels: 5125 });
      expect(said).toContain("the ports in use were found again");
      expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(JSON.parse(last));
    },
  );

  test("keep the registry's, which is part of every image's name, though the file is gone and nothing runs", async () => {
    writeFileSync(join(tools, "local/run/registry.yaml"), 'http: { addr: "localhost:5123" }\n');
    expect(JSON.parse((await choose()).last).registry).toBe(5123);
  });

  test("are not another than that of a service that runs", async () => {
    writeFileSync(file, '{"registry":5123,"artifacts":5124,"wheels":5125}');
    const { exit, last } = await choose({ registry: "registry serve" }, { FACECRAFT_REGISTRY_PORT: "6000" });
    expect(exit).toBe(1);
    expect(last).toBe(
      "FACECRAFT_REGISTRY_PORT is 6000, but the local registry service runs on port 5123. Run `make down` first.",
    );
    expect(JSON.parse(readFileSync(file, "utf8")).registry).toBe(5123);
  });
});
