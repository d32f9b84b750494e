import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DockerTools, hasDocker } from "../engine/dockerTools.ts";

let tools: DockerTools;

describe.runIf(hasDocker)("a builder in Docker (needs root)", () => {
  beforeAll(async () => {
    tools = await DockerTools.make();
  });
  afterAll(() => tools?.remove());

  test("the example application is built, proven and published by a builder in Docker", async () => {
    expect(await tools.command("up")).toSucceed();
    const outputs = JSON.parse((await tools.command("outputs")).text);
    expect(outputs).toMatchObject({ variant: "cpu", proof: { boot: "passed", portrait: "passed" } });
    const preview = await tools.command("preview");
    expect(preview).toSucceed();
    expect(preview.text).toMatch(/\d+ unchanged/);
    expect(preview.text).not.toMatch(/to (create|update|replace)/);
    expect(await tools.command("down")).toSucceed();
    expect(await tools.inDocker()).toEqual([]);
  });
});
