import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goBuild } from "../../local/acquire.ts";
import { which } from "../../local/exec.ts";
import { bin, root } from "../../local/paths.ts";
import { run } from "../run.ts";

test("actionlint finds nothing in the workflows", async () => {
  const own = join(bin, "actionlint");
  if (!which("actionlint") && !existsSync(own)) {
    await goBuild(
      { tool: "actionlint", main: "github.com/rhysd/actionlint/cmd/actionlint", program: "actionlint" },
      bin,
    );
  }
  const { code, text } = await run([which("actionlint") ?? own, "-no-color"], root, process.env);
  expect(text).toBe("");
  expect({ code, text }).toSucceed();
});
