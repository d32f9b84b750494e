import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nextSteps, type Published } from "../../local/nextSteps.ts";
import { pageOpener } from "../../local/openPage.ts";

const imageRef = `localhost:5000/facecraft:1.0.0-cpu-12345678@sha256:${"a".repeat(64)}`;
const steps = (change: Partial<Published> = {}) =>
  nextSteps({ stack: "local", imageRef, signed: false, deployable: true, ...change });

test("after an update a person sees the image and three commands", () => {
  expect(steps()).toEqual([
    `Published: ${imageRef}`,
    "  make deploy        runs it and prints the address of a page to try it on",
    "  make image-report  shows its layers, packages and models, and what was proven of it",
    "  make verify        says what is known of it",
  ]);
});

test("the commands name another stack, and no deploy stack where there is none", () => {
  const commands = steps({ stack: "cpu", deployable: false }).slice(1);
  expect(commands).toEqual([
    "  make image-report STACK=cpu  shows its layers, packages and models, and what was proven of it",
    "  make verify STACK=cpu        says what is known of it",
  ]);
});

const folder = mkdtempSync(join(tmpdir(), "facecraft-next-"));
const key = join(folder, "release.key");
writeFileSync(join(folder, "release.pub"), "");

test.each<[unknown, string]>([
  [{ key, password: "hush" }, `KEY=${join(folder, "release.pub")}`],
  [{ key: "/secure/elsewhere.key" }, "KEY=cosign.pub"],
  [{ key: "env://SIGNING_KEY" }, "KEY=cosign.pub"],
  [{ key: "awskms:///alias/facecraft" }, "KEY=awskms:///alias/facecraft"],
  [{ keyless: true }, "IDENTITY=... ISSUER=..."],
  [undefined, "KEY=cosign.pub"],
])("of an image that was signed with %j, whose signature it must be", (signing, wanted) => {
  const line = steps({ signed: true, signing }).at(-1);
  expect(line).toContain(`make verify ${wanted}  `);
  expect(line).not.toContain("hush");
});

test("where nothing was pushed, there is nothing to do with it", () => {
  expect(steps({ imageRef: "" })).toEqual([
    "Nothing was published, because facecraft:push is false. `make outputs` says what was built.",
  ]);
});

test("a report is opened only where a person sees it", () => {
  const programs = join(folder, "bin");
  mkdirSync(programs);
  for (const name of ["open", "xdg-open"]) {
    writeFileSync(join(programs, name), "");
    chmodSync(join(programs, name), 0o755);
  }
  const opener = (env: NodeJS.ProcessEnv, platform: NodeJS.Platform = "linux", terminal = true) =>
    pageOpener({ PATH: programs, ...env }, { terminal, platform });

  expect(opener({ DISPLAY: ":0" })).toBe(join(programs, "xdg-open"));
  expect(opener({ WAYLAND_DISPLAY: "wayland-0" })).toBe(join(programs, "xdg-open"));
  expect(opener({}, "darwin")).toBe(join(programs, "open"));

  expect(opener({}), "no display").toBeUndefined();
  expect(opener({ DISPLAY: ":0", CI: "true" }), "in CI").toBeUndefined();
  expect(opener({ DISPLAY: ":0" }, "linux", false), "into a log").toBeUndefined();
  expect(opener({ DISPLAY: ":0", PATH: "" }), "no program").toBeUndefined();
  expect(opener({ SSH_CONNECTION: "1" }, "darwin"), "from elsewhere").toBeUndefined();
});
