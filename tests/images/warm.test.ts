import { afterAll, beforeAll, expect, test } from "vitest";
import { Trial } from "./trial.ts";
import { wheel } from "./wheel.ts";

let trial: Trial;

/** A package whose function is compiled when it is imported, as pymatting's are. */
const compiled = wheel("squares", "1.0", {
  "squares/__init__.py": "from numba import njit\n\n\n@njit('f8(f8)', cache=True)\ndef square(x):\n    return x * x\n",
});

beforeAll(async () => {
  trial = await Trial.make();
  trial.serve(`files/${compiled.file}`, compiled.bytes);
  trial.write(
    "requirements.txt",
    `numba\nnumpy<2\nonnxruntime\ntorch==2.0.1\ntorchvision==0.15.2\nuvicorn\nsquares @ ${trial.url}/files/${compiled.file}\n`,
  );
  trial.write(
    "src/facecraft/main.py",
    "import os\n\nimport squares\n\nprint('square', squares.square(3.0), flush=True)\nos._exit(0)\n",
  );
});
afterAll(() => trial?.close());

/** What numba says of its cache when the image's command runs in a container of its own. */
async function firstStart(options: { user: string; without?: string }): Promise<string> {
  const step = [
    "",
    "FROM assembled AS first-start",
    `USER ${options.user}`,
    "RUN --network=none --mount=type=tmpfs,target=/tmp NUMBA_DEBUG_CACHE=1 serve",
    "",
  ];
  const edit = (text: string) => text.replace(options.without ?? "", "") + step.join("\n");
  const built = await trial.build({ target: "first-start", edit: { "docker/Dockerfile.cpu": edit } });
  expect(built).toSucceed();
  expect(built.text).toContain("square 9.0");
  return built.text;
}

test.each(["1000:1000", "4711:1000", "4711:4711"])("a first start as %s compiles nothing", async (user) => {
  const said = await firstStart({ user });
  expect(said).toMatch(/\[cache\] data loaded from '\/tmp\/\.cache\/numba\/squares_/);
  expect(said).not.toContain("[cache] data saved");
});

test("a first start without what the build has compiled compiles it", async () => {
  const said = await firstStart({ user: "1000:1000", without: "COPY --link --from=warm /layer/warm/ /\n" });
  expect(said).toContain("[cache] data saved");
});
