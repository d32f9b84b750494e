import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { baseImages } from "../../local/base.ts";
import { output } from "../../local/exec.ts";
import { paths } from "../../local/paths.ts";
import { toolPath } from "../../local/tools.ts";
import { fuzz } from "../fuzz.ts";
import { type Given, mappers, OrdinaryUser, processesOf, whyNobodyElse } from "./ordinaryUser.ts";

/** All that is said to lack. */
const theLack = / for an ordinary user: (.*?) The other ways: /;

const skipped = whyNobodyElse ? ` (skipped: ${whyNobodyElse})` : "";

describe.skipIf(whyNobodyElse !== undefined)(`an ordinary user${skipped}`, () => {
  let user: OrdinaryUser;
  beforeAll(async () => {
    user = await OrdinaryUser.make();
  });
  afterAll(() => user?.remove());

  test("without newuidmap is told the administrator's command, before anything is downloaded or made", async () => {
    const { code, text } = await user.given({ mappers: [] }, () => user.run(["make", "up"]));
    expect(code).not.toBe(0);
    expect(text).toMatch(
      /: newuidmap and newgidmap are not installed\. An administrator has to run this once, as root: `[^`]+`/,
    );
    expect(text).not.toMatch(/\[local\]|^\s+at /m);
    expect(existsSync(join(user.tools, "local/run"))).toBe(false);
  });

  const { runs, parameters } = fuzz(25, 2);
  test(`without Node.js either is told the same, before that is downloaded (${runs} cases)`, async () => {
    const tooSmall = fc.tuple(fc.integer({ min: 1000, max: 4_000_000 }), fc.integer({ min: 1, max: 65_534 }));
    const owned = (owner: string) => tooSmall.map(([first, count]) => `${owner}:${first}:${count}\n`);
    const lines = fc.oneof(owned("ordinary"), owned("somebody"), fc.constant(user.ranges.subuid));
    const given: fc.Arbitrary<Given> = fc.record({
      ranges: fc.record({ subuid: lines, subgid: lines }),
      mappers: fc.subarray([...mappers]),
      mayMakeNamespaces: fc.boolean(),
      name: fc.constantFrom("ordinary", undefined),
    });
    const all = JSON.stringify({ mappers, mayMakeNamespaces: true, ranges: user.ranges, name: user.name });
    const lacking = given.filter(({ mappers, mayMakeNamespaces, ranges, name }) => {
      return JSON.stringify({ mappers, mayMakeNamespaces, ranges, name }) !== all;
    });
    await fc.assert(
      fc.asyncProperty(lacking, async (given) => {
        const known = await user.given(given, () => user.run(["make", "up"]));
        expect(known.text).toMatch(theLack);
        // Neither this project's Node.js nor its packages: as on a machine that has never seen it.
        const packages = join(user.clone, "node_modules");
        renameSync(packages, `${packages}-`);
        const PATH = `${join(user.folder, "mapping")}:/usr/local/bin:/usr/bin:/bin`;
        const unknown = await user.given(given, () => user.run(["make", "up"], { PATH }));
        renameSync(`${packages}-`, packages);
        expect(unknown.code).not.toBe(0);
        expect(theLack.exec(unknown.text)?.[1]).toBe(theLack.exec(known.text)?.[1]);
        expect(unknown.text).not.toContain("[local]");
        expect(existsSync(join(user.tools, "node"))).toBe(false);
      }),
      parameters,
    );
  });

  test("without a range of ids is told a command that gives him a free one", async () => {
    const theirs = "somebody:300000:65536\nelse:400000:10\n";
    const ranges = { subuid: theirs, subgid: theirs };
    const { code, text } = await user.given({ ranges }, () => user.run(["make", "up"]));
    expect(code).not.toBe(0);
    expect(text).toContain(
      "/etc/subuid and /etc/subgid have no range of 65536 ids for ordinary. An administrator has to run this once, as root: " +
        "`usermod --add-subuids 400010-465545 --add-subgids 400010-465545 ordinary`.",
    );
    const both = await user.given({ ranges, mappers: [] }, () => user.run(["make", "up"]));
    expect(both.text).toMatch(
      /not installed; .* no range .*`apt-get install .* && usermod --add-subuids 400010-465545 /,
    );
  });

  test("without a name is told a command that gives him one, and a range", async () => {
    const { code, text } = await user.given({ name: undefined }, () => user.run(["make", "up"]));
    expect(code).not.toBe(0);
    expect(text).toMatch(
      /`useradd --uid \d+ --no-create-home user-\d+ && usermod --add-subuids 365536-\d+ .* user-\d+`/,
    );
  });

  test("where nobody may make a namespace is told which setting forbids it", async () => {
    const { code, text } = await user.given({ mayMakeNamespaces: false }, () => user.run(["make", "up"]));
    expect(code).not.toBe(0);
    expect(text).toContain("no ordinary user may make a user namespace (user.max_user_namespaces is 0)");
  });

  test("gets a builder, in which files have owners, and a registry; `make down` leaves nothing of them running", async () => {
    // Root's base, so that this one is not made again.
    const base = Object.values(await baseImages()).find((name) => name.includes("/base/debian:"));
    const work = join(user.folder, "base");
    mkdirSync(work);
    if (base) {
      mkdirSync(join(user.tools, "local/base"));
      writeFileSync(join(work, "Dockerfile"), `FROM ${base}\n`);
      const build = [
        "build",
        "--frontend",
        "dockerfile.v0",
        "--local",
        `context=${work}`,
        "--local",
        `dockerfile=${work}`,
      ];
      const to = ["--output", `type=tar,dest=${join(user.tools, "local/base/rootfs.tar")}`];
      const env = { ...process.env, PATH: toolPath(), BUILDKIT_HOST: `unix://${paths.buildkitSocket}` };
      const copied = () => output("buildctl", [...build, ...to], { env });
      // A busy builder gives up on a client that has all it wanted.
      await copied().catch((error: Error) =>
        /deadline exceeded/.test(error.message) ? copied() : Promise.reject(error),
      );
      const owner = String(lstatSync(user.tools).uid);
      await output("chown", ["-R", `${owner}:${owner}`, join(user.tools, "local/base")]);
    }
    const setup = await user.run(["local/run", "setup"]);
    expect(setup).toSucceed();
    expect(readFileSync(join(user.tools, "local/builder"), "utf8").trim()).toBe("rootless");

    const { PYTHON_IMAGE } = JSON.parse(readFileSync(join(user.tools, "local/base/chosen.json"), "utf8"));
    writeFileSync(
      join(work, "Dockerfile"),
      [
        `FROM ${PYTHON_IMAGE}`,
        "RUN install -d -o 1000 -g 1000 /theirs && install -o 65534 /dev/null /nobodys",
        "USER 1000:1000",
        'RUN --network=none touch /theirs/file && test "$(id -u)" = 1000 && test ! -w /etc',
        'RUN test "$(stat -c %u:%g /theirs/file /nobodys | xargs)" = "1000:1000 65534:0"',
      ].join("\n"),
    );
    const socket = join(user.tools, "local/run/buildkitd.sock");
    const build = ["--addr", `unix://${socket}`, "build", "--frontend", "dockerfile.v0"];
    const folders = ["--local", `context=${work}`, "--local", `dockerfile=${work}`];
    const { registry } = JSON.parse(readFileSync(join(user.tools, "local/ports.json"), "utf8"));
    const to = ["--output", `type=image,name=localhost:${registry}/trial:1,push=true`];
    expect(await user.run(["buildctl", ...build, ...folders, ...to])).toSucceed();

    // What a set-up that was killed has left of a base belongs to other ids.
    const left = join(user.tools, "base-killed");
    mkdirSync(join(left, "tree/var"), { recursive: true });
    const { uid } = lstatSync(user.tools);
    await output("chown", [`${uid}:${uid}`, left]);
    await output("chown", ["-R", "300041:300041", join(left, "tree")]);
    const again = await user.run(["local/run", "setup"]);
    expect(again).toSucceed();
    expect(existsSync(left)).toBe(false);
    expect(again.text).not.toMatch(/\[local\]/);
    const forced = await user.run(["local/run", "setup"], { FACECRAFT_BUILDER: "docker" });
    expect(forced.text).toContain(
      "FACECRAFT_BUILDER is docker, but the local builder runs as rootless. Run `make down` first.",
    );

    const down = await user.run(["make", "down"]);
    expect(down.text).toContain("stopped registry, artifacts, wheels, buildkitd");
    expect(processesOf(user.folder)).toEqual([]);
  });

  test("removes what he has built, though its files belong to ids that are not his", async () => {
    const folder = join(user.tools, "local/buildkit-rootless");
    const script = `import("./local/rootless.ts").then((m) => m.removeTree("${folder}"))`;
    expect(await user.run(["node", "-e", script])).toSucceed();
    expect(existsSync(folder)).toBe(false);
  });
});
