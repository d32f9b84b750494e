import { describe, expect, test, vi } from "vitest";
import { interactive, output, run } from "../../local/exec.ts";
import { root } from "../../local/paths.ts";
import { Failure } from "../../local/say.ts";

const sh = (script: string) => ["-c", script];

test("a program's output is returned, and what it says beside it is not", async () => {
  expect(await output("sh", sh("echo out; echo err >&2"))).toBe("out");
});

test("a program that fails is named with all it was asked, its exit code and the end of what it said", async () => {
  const failing = output("sh", sh("seq 100; echo at last >&2; exit 3"));
  await expect(failing).rejects.toThrow(Failure);
  await expect(failing).rejects.toThrow(/^`sh -c seq .*` failed \(exit code 3\):\n87\n(\d+\n)+100\nat last$/s);
});

test("a program may end in any way that its caller can judge", async () => {
  expect(await run("sh", sh("echo out; echo err >&2; exit 3"))).toEqual({ code: 3, stdout: "out", text: "out\nerr" });
  expect(await run("sh", sh("kill -9 $$"))).toMatchObject({ code: 128 });
  expect(await run("sh", sh("exec sleep 60"), { timeout: 100 })).toMatchObject({ code: 128 });
  expect(await interactive("sh", sh("exit 4"))).toBe(4);
});

test("a program that is missing, or is none, is named", async () => {
  await expect(run("/nowhere/program", [])).rejects.toThrow(/^`\/nowhere\/program` cannot be run: .*ENOENT/);
  await expect(interactive("/", [])).rejects.toThrow(/^`\/` cannot be run: .*EACCES/);
});

test("node runs what it is given, without the flags of the process that asks", async () => {
  const asks = `import { output } from "./local/exec.ts"; console.log(await output("node", ["-p", "process.execArgv.length"]));`;
  const stdin = { string: asks };
  const ended = await run(process.execPath, ["--no-warnings", "--input-type=module", "-"], { cwd: root, stdin });
  expect(ended).toMatchObject({ code: 0, stdout: "2" });
});

describe("the environment of a program", () => {
  test("is the one that is given, and nothing else", async () => {
    vi.stubEnv("FACECRAFT_LEFT_OUT", "seen");
    const env = { PATH: process.env.PATH, FACECRAFT_GIVEN: "given" };
    const script = sh('echo "$FACECRAFT_LEFT_OUT-$FACECRAFT_GIVEN"');
    expect(await output("sh", script, { env })).toBe("-given");
    expect(await output("sh", script)).toBe("seen-");
    vi.unstubAllEnvs();
  });

  test("has an empty standard input, so that nothing waits for a person", async () => {
    expect(await output("cat", [])).toBe("");
  });
});
