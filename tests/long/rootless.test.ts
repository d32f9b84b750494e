import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { obtainAll, rootlessDockerTools } from "../../local/tools.ts";
import { OrdinaryUser, processesOf, whyNobodyElse } from "../engine/ordinaryUser.ts";

const skipped = whyNobodyElse ? ` (skipped: ${whyNobodyElse})` : "";

describe.skipIf(whyNobodyElse !== undefined)(`an ordinary user${skipped}`, () => {
  let user: OrdinaryUser;
  beforeAll(async () => {
    await obtainAll(rootlessDockerTools);
    user = await OrdinaryUser.make();
  });
  afterAll(() => user?.remove());

  test("makes a base, builds, proves and publishes an image, and runs it, and leaves nothing running", async () => {
    expect(await user.run(["make", "up"])).toSucceed();
    const { text } = await user.run(["make", "--silent", "outputs"]);
    const { imageRef, proof } = JSON.parse(text.slice(text.indexOf("{")));
    const { registry } = JSON.parse(readFileSync(join(user.tools, "local/ports.json"), "utf8"));
    expect(imageRef).toMatch(new RegExp(`^localhost:${registry}/facecraft:.*@sha256:[0-9a-f]{64}$`));
    expect(proof).toMatchObject({ boot: "passed", portrait: "passed", network: "silent" });

    const deployed = await user.run(["make", "deploy"], { DOCKER_HOST: "" });
    expect(deployed).toSucceed();
    expect(deployed.text).toMatch(/\/ready: 200 /);

    const down = await user.run(["make", "down"]);
    expect(down.text).toContain("stopped docker");
    expect(down.text).toContain("stopped registry, artifacts, wheels, buildkitd");
    expect(processesOf(user.folder)).toEqual([]);
  });
});
