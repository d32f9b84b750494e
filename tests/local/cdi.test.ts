import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { closedDevices } from "../../local/cdi.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "facecraft-cdi-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("the devices of a description that cannot be opened are named, of whatever kind of edit and file", () => {
  const edits = (...nodes: object[]) => ({ containerEdits: { deviceNodes: nodes } });
  const gpu = {
    kind: "nvidia.com/gpu",
    ...edits({ path: "/dev/absent-ctl" }, { path: "/dev/null" }),
    devices: [
      { name: "0", ...edits({ path: "/dev/absent-0", hostPath: "/dev/zero" }) },
      { name: "all", ...edits({ path: "/dev/zero", hostPath: "/dev/absent-1" }, { path: "/dev/absent-ctl" }) },
    ],
  };
  writeFileSync(join(folder, "gpu.json"), JSON.stringify(gpu));
  writeFileSync(
    join(folder, "other.yaml"),
    "kind: vendor.com/card\ndevices:\n- name: a\n  containerEdits:\n    deviceNodes: [{path: /dev/absent-2}]\n",
  );
  writeFileSync(join(folder, "empty.yaml"), "");
  writeFileSync(join(folder, "README"), "{");
  expect(closedDevices("nvidia.com/gpu", [folder, join(folder, "absent")])).toEqual([
    "/dev/absent-ctl",
    "/dev/absent-1",
  ]);
  expect(closedDevices("vendor.com/card", [folder])).toEqual(["/dev/absent-2"]);
});
