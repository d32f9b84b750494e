import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrdinaryUser, processesOf, whyNobodyElse } from "../engine/ordinaryUser.ts";

const skipped = whyNobodyElse ? ` (skipped: ${whyNobodyElse})` : "";

describe.skipIf(whyNobodyElse !== undefined)(`an ordinary user in an empty home${skipped}`, () => {
  let user: OrdinaryUser;
  beforeAll(async () => {
    user = await OrdinaryUser.make();
  });
  afterAll(() => user?.remove());

  test("publishes, runs what was published, tries it on a page, and leaves nothing running", async () => {
    const first = await user.run(["make", "up"]);
    expect(first).toSucceed();
    expect(first.text).toMatch(/^Published: localhost:\d+\/facecraft:1\.0\.0-cpu-[0-9a-f]{8}@sha256:[0-9a-f]{64}$/m);
    const second = await user.run(["make", "up"]);
    expect(second).toSucceed();
    expect(second.text).toContain("10 unchanged");

    const deploy = await user.run(["make", "deploy"]);
    expect(deploy).toSucceed();
    const [, address = ""] = /runs at (http:\S+) where a browser can try a portrait/.exec(deploy.text) ?? [];
    const page = await fetch(address);
    expect(page.headers.get("content-type")).toMatch(/^text\/html/);
    expect(await page.text()).toContain("<title>");

    expect(await user.run(["make", "undeploy"])).toSucceed();
    expect(await user.run(["make", "down"])).toSucceed();
    expect(processesOf(user.folder)).toEqual([]);
    expect(await user.run(["make", "clean"])).toSucceed();
    expect(existsSync(join(user.tools, "local"))).toBe(false);
  });
});
