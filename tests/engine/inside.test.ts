import { afterAll, beforeAll, expect, test } from "vitest";
import { Clone } from "./harness.ts";
import { committed, elfMachines, look } from "./look.ts";

let clone: Clone;

beforeAll(async () => {
  clone = await Clone.make();
});
afterAll(() => clone?.remove());

test("a release holds the files of the commit that it names, and is of the platform that it names", async () => {
  const { code, text } = await clone.up();
  expect({ code, text }).toSucceed();
  const { digest, revision } = await clone.outputs();
  const published = await look(clone, digest);

  expect(published.labels["org.opencontainers.image.revision"]).toBe(revision);
  const source = committed(clone.folder, revision, "app/");
  expect(published.application).toEqual(new Map([...source].filter(([path]) => path.startsWith("src/"))));
  expect(published.application.size).toBeGreaterThan(0);
  expect(published.os).toBe("linux");
  expect(published.machine).toBe(elfMachines[published.architecture]);
});
