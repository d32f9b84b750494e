import { describe, expect, test } from "vitest";
import { sha256Fault } from "../../artifacts/pins.ts";
import { describe as tell, updateLock } from "../../local/lockUpdates.ts";
import { filesAt, readLock, type ToolLock, toolDownload } from "../../local/toolLock.ts";
import { wantedVersion } from "../../local/versions.ts";

describe("the lock of the tools", () => {
  test.each(Object.entries(readLock()))("has %s at the version that the project asks for", (name, tool) => {
    expect(tool.version).toBe(wantedVersion(name));
    for (const { url } of filesAt(tool, tool.version)) {
      expect(url).toMatch(/^https:\/\/|^npm:/);
      expect(url).toContain(tool.version);
    }
  });

  test.each(Object.entries(readLock()))("names where the sums of %s were read, and each is one or null", (_, tool) => {
    const sums = Object.values(tool.files).map(({ sha256 }) => sha256);
    for (const sum of sums) {
      expect(sum === null ? undefined : sha256Fault(sum)).toBeUndefined();
    }
    expect(Boolean(tool.source)).toBe(sums.some((sum) => sum !== null));
  });

  test("knows a file on Linux of every tool, on both architectures", () => {
    for (const tool of Object.values(readLock())) {
      expect(Object.keys(tool.files)).toEqual(expect.arrayContaining(["linux-amd64", "linux-arm64"]));
    }
  });

  test("has no pin for another version: the address follows, and the list", () => {
    const { pulumi } = readLock();
    const old: ToolLock = JSON.parse(JSON.stringify({ pulumi }).replaceAll(pulumi?.version ?? "", "3.1.0"));
    for (const file of Object.values(old.pulumi?.files ?? {})) {
      file.sha256 = "a".repeat(64);
    }
    expect(toolDownload("pulumi", "linux-amd64", old)).toEqual({
      url: pulumi?.files["linux-amd64"]?.url,
      sums: pulumi?.sums,
      pin: undefined,
    });
  });
});

describe("an update of the lock", () => {
  const lock: ToolLock = {
    tool: {
      version: "1.0.0",
      sums: "https://site.example/v1.0.0/sums",
      source: "somewhere",
      files: {
        "linux-amd64": { url: "https://site.example/v1.0.0/tool-1.0.0-amd64", sha256: "a".repeat(64) },
        "linux-arm64": { url: "https://site.example/v1.0.0/tool-1.0.0-arm64", sha256: null },
      },
    },
  };
  const served = (version: string, amd64: string, arm64: string) =>
    filesAt(lock.tool as ToolLock[string], version).map((file) => ({
      ...file,
      tool: "tool",
      listed: true,
      sha256: file.platform === "linux-amd64" ? amd64 : arm64,
    }));

  test("takes over the sums that were missing, and says so", () => {
    const { lock: after, changes } = updateLock(lock, served("1.0.0", "a".repeat(64), "b".repeat(64)), () => "1.0.0");
    expect(after.tool?.files["linux-arm64"]?.sha256).toBe("b".repeat(64));
    expect(changes.map(tell)).toEqual([
      `tool, linux-arm64: https://site.example/v1.0.0/tool-1.0.0-arm64\n  (no sum) -> ${"b".repeat(64)}`,
    ]);
  });

  test("follows to another version, with every address", () => {
    const { lock: after } = updateLock(lock, served("1.2.0", "c".repeat(64), "d".repeat(64)), () => "1.2.0");
    expect(JSON.stringify(after)).not.toContain("1.0.0");
    expect(after.tool).toMatchObject({ version: "1.2.0", sums: "https://site.example/v1.2.0/sums" });
  });

  test("cries out when a file of the same name is another one", () => {
    const { changes } = updateLock(lock, served("1.0.0", "c".repeat(64), "b".repeat(64)), () => "1.0.0");
    expect(changes.map(({ replaced }) => replaced)).toEqual([true, false]);
    expect(tell(changes[0] as (typeof changes)[number])).toContain("ANOTHER FILE UNDER THE SAME NAME");
  });

  test("that finds nothing new leaves the lock as it is", () => {
    const pinned = updateLock(lock, served("1.0.0", "a".repeat(64), "b".repeat(64)), () => "1.0.0").lock;
    const again = updateLock(pinned, served("1.0.0", "a".repeat(64), "b".repeat(64)), () => "1.0.0");
    expect(again).toEqual({ lock: pinned, changes: [] });
  });
});
