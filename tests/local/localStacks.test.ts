import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fillIn, mentionsSigning } from "../../local/stackConfig.ts";
import { standIns } from "../../local/standins/models/models.ts";
import { goModuleVersion, packageVersion } from "../../local/versions.ts";

describe("the local stacks", () => {
  test.each(standIns)("pin the stand-in $file", (standIn) => {
    const hash = createHash("sha256");
    for (const part of standIn.bytes()) {
      hash.update(part);
    }
    const pin = hash.digest("hex");
    for (const file of readdirSync(".").filter((name) => name.startsWith("Pulumi.local"))) {
      expect(readFileSync(file, "utf8"), file).toMatch(new RegExp(`${standIn.file}"\\]\\n +sha256: ${pin}`));
    }
  });

  test("are told which placeholder has no value", () => {
    expect(() => fillIn("builder: ${bulider}", { builder: "b" }, "Pulumi.x.yaml")).toThrow(
      "Pulumi.x.yaml has ${bulider}; known are ${builder}.",
    );
    expect(fillIn("a: ${x}/${y}", { x: "1", y: "2" }, "f")).toBe("a: 1/2");
  });
});

test.each([
  ["  facecraft:signing:\n    key: cosign.key\n", true],
  ['  "facecraft:signing": {keyless: true}\n', true],
  ["  facecraft-deploy:verify:\n    key: cosign.pub\n", true],
  ["  facecraft-kubernetes:verify: {key: cosign.pub}\n", true],
  ["  # facecraft:signing: not yet\n", false],
  ["  facecraft:version: 1.0.0\n", false],
])("cosign is gotten for a stack with %j: %j", (lines, isAsked) => {
  expect(mentionsSigning(`config:\n  facecraft:variant: cpu\n${lines}`)).toBe(isAsked);
});

describe("one version for a tool and what talks to it", () => {
  test.each([
    ["pulumi", "github.com/pulumi/pulumi/pkg/v3", "@pulumi/pulumi"],
    ["docker-build", "github.com/pulumi/pulumi-docker-build", "@pulumi/docker-build"],
  ])("%s", (tool, module, sdk) => {
    expect(goModuleVersion(tool, module)).toBe(packageVersion(sdk));
  });
});
