import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { variantNames, variants } from "../../plan/variants.ts";
import { documentedBuild } from "./documentedBuild.ts";
import { sha256, Trial } from "./trial.ts";
import { wheel, zip } from "./wheel.ts";

// `printf 'a shape predictor, compressed\n' | bzip2`
const compressed = {
  text: "a shape predictor, compressed\n",
  bytes: Buffer.from("QlpoOTFBWSZTWTb/rA8AAALRgAAQQAQuYtwAIAAxTAABED0Bog6oIdoVDbJubOGcEI/pf4u5IpwoSBt/1geA", "base64"),
};

let trial: Trial;

beforeAll(async () => {
  const first = await Trial.make();
  const built = await first.build();
  first.close();
  expect(built).toSucceed();
});

beforeEach(async () => {
  trial?.close();
  trial = await Trial.make();
});

afterAll(() => trial?.close());

/** A build that must not come about, and the sentence that says why. */
async function refused(sentence: string | RegExp, options: Parameters<Trial["build"]>[0] = {}): Promise<void> {
  const { code, text } = await trial.build(options);
  expect(text).toMatch(sentence);
  expect(code).not.toBe(0);
}

describe("the command in the first lines of a Dockerfile", () => {
  const command = documentedBuild("docker/Dockerfile.cpu");

  test("builds the same image from a checkout under any umask", async () => {
    trial.args.SOURCE_DATE_EPOCH = "315532800";
    const output = "type=image,push=false";
    const usual = await trial.build({ output });
    expect(usual).toSucceed();
    expect(usual.digest).toMatch(/^sha256:/);
    for (const umask of [0o002, 0o077]) {
      const other = await trial.build({ output, umask });
      expect(other).toSucceed();
      expect(other.digest).toBe(usual.digest);
    }
  });

  test("lets nothing of the application's folder in but what the ignore file does", async () => {
    for (const path of ["src/.env", "src/facecraft/model.onnx", "src/facecraft/__pycache__/main.cpython-311.pyc"]) {
      trial.write(path, "not for an image");
    }
    const edit = (text: string) =>
      text.replace("settle-layer /layer/application", "! grep -r 'not for an image' /layer/application && $&");
    const { code, text } = await trial.build({ target: "application", edit: { "docker/Dockerfile.cpu": edit } });
    expect({ code, text }).toSucceed();
  });

  test("without its scripts is refused, with the word that is missing", async () => {
    const without = command.filter((word, index) => ![word, command[index - 1]].includes("--build-context"));
    expect(without).toHaveLength(command.length - 2);
    await refused(/The named context "scripts" [\s\S]*"\/docker\/scripts": not found/, { command: without });
  });

  test.each(variantNames)("passes the builder's own checks (%s)", async (variant) => {
    const { PYTHON_IMAGE: base } = trial.args;
    const asked = [...documentedBuild(variants[variant].dockerfile)];
    Object.assign(trial.args, { CUDA_RUNTIME_IMAGE: base });
    const { code, text } = await trial.build({ command: asked, request: "frontend.lint" });
    expect({ code, text }).toSucceed();
    // The real base brings this variable.
    const warnings = text.match(/(?<=^WARNING: .*\n).*/gm) ?? [];
    expect(warnings.filter((warning) => warning !== "Usage of undefined variable '$LD_LIBRARY_PATH'")).toEqual([]);
  });
});

describe("a model", () => {
  test("that is not the file its pin names is refused, with both hashes", async () => {
    const pin = sha256(trial.url);
    trial.args.CODEFORMER_SHA256 = trial.args.CODEFORMER_DOWNLOAD_SHA256 = pin;
    await refused(`digest mismatch sha256:${sha256("a codeformer")}: sha256:${pin}`);
  });

  test("without a pin is refused, whatever the download's own pin says", async () => {
    trial.args.CODEFORMER_SHA256 = "";
    await refused("/app/models/codeformer/codeformer.pth has no usable pin: ''");
  });

  test("with a pin that is cut short is refused", async () => {
    trial.args.U2NET_SHA256 = sha256("a u2net").slice(0, 63);
    await refused("/home/appuser/.u2net/u2net_human_seg.onnx has no usable pin");
  });

  test("that is compressed is judged by what comes out of it", async () => {
    trial.serve("sp.dat.bz2", compressed.bytes);
    trial.args.SHAPE_PREDICTOR_URL = `${trial.url}/sp.dat.bz2`;
    trial.args.SHAPE_PREDICTOR_DOWNLOAD_SHA256 = "none";
    trial.args.SHAPE_PREDICTOR_SHA256 = sha256(compressed.text);
    const right = await trial.build({ target: "shape-predictor" });
    expect(right).toSucceed();

    trial.args.SHAPE_PREDICTOR_SHA256 = sha256("another");
    await refused(`expected  sha256:${sha256("another")}`, { target: "shape-predictor" });
  });

  test("that the image's user cannot read is refused", async () => {
    const unreadable = (text: string) => text.replace("path.chmod(0o444)", "path.chmod(0o400)");
    await refused("proof: uid 1000 cannot read a model", { edit: { "docker/scripts/place_model.py": unreadable } });
  });
});

describe("torch", () => {
  test("that says +cpu but was built for CUDA is refused", async () => {
    const fake = wheel("torch", "2.0.1+cpu", {
      "torch/__init__.py": "from . import version\n__version__ = version.__version__\n",
      "torch/version.py": "__version__ = '2.0.1+cpu'\ncuda = '11.7'\n",
    });
    serveIndex(trial, "torch", fake);
    serveIndex(trial, "torchvision", wheel("torchvision", "0.15.2+cpu"));
    trial.args.TORCH_INDEX_URL = `${trial.url}/index`;
    await refused("proof: torch.version.cuda is 11.7, but this image needs None");
  });

  test("that the index has without +cpu only is not taken from elsewhere", async () => {
    serveIndex(trial, "torch", wheel("torch", "2.0.1"));
    trial.args.TORCH_INDEX_URL = `${trial.url}/index`;
    await refused("/index does not serve torch==2.0.1+cpu torchvision==0.15.2+cpu");
  });

  test("cannot come a second time as a build requirement", async () => {
    trial.write(
      "requirements.txt",
      `wants-torch @ ${trial.url}/wants_torch-1.0.zip\ntorch==2.0.1\ntorchvision==0.15.2\n`,
    );
    trial.serve("wants_torch-1.0.zip", sourceDistribution("wants_torch", "1.0", "setup_requires=['torch']"));
    await refused("gets torch==2.0.1+cpu or none: name it in the build arg UNISOLATED");
  });
});

describe("requirements", () => {
  test("are read as pip reads them, and what asks for the same installs nothing again", async () => {
    const before = readFileSync(join(trial.folder, "requirements.txt"), "utf8").replaceAll("\n", "\r\n");
    trial.write("requirements.txt", "\ufeff-r requirements-all.txt\r\n");
    trial.write("requirements-all.txt", `# The same as before\r\n${before}`);
    const built = await trial.build({ target: "venv" });
    expect(built).toSucceed();
    const [, step] = /^#(\d+) \[venv \d+\/\d+\] RUN /m.exec(built.text) ?? [];
    expect(built.text.split("\n")).toContain(`#${step} CACHED`);
  });

  test("that cannot be read are refused before anything is installed", async () => {
    trial.write("requirements.txt", "torch==2.0.1\n-r requirements-none.txt\n");
    await refused("requirements.txt, line 2: requirements-none.txt is not there");
    trial.write("requirements.txt", "numpy\n");
    await refused("requirements.txt: no line names torch");
  });
});

test("a commit of another date installs nothing and places no model again", async () => {
  trial.args.SOURCE_DATE_EPOCH = "1700000000";
  expect(await trial.build({ target: "assembled" })).toSucceed();
  trial.args.SOURCE_DATE_EPOCH = "1700000001";
  const { code, text } = await trial.build({ target: "assembled" });
  expect({ code, text }).toSucceed();

  const cached = new Set(text.match(/^#\d+(?= CACHED)/gm));
  const steps = [...text.matchAll(/^(#\d+) \[(\S+) \d+\/\d+\] (?:RUN|WORKDIR) /gm)];
  const stages = (which: typeof steps) => [...new Set(which.map(([, , stage]) => stage))].sort();
  expect(stages(steps)).toEqual(expect.arrayContaining(["codeformer", "shape-predictor", "u2net", "venv"]));
  const anew = stages(steps.filter(([, step = ""]) => !cached.has(step)));
  expect(anew.filter((stage) => stage !== "assembled")).toEqual([]);
});

test("a Python that is built for another platform than the image is refused", async () => {
  // As if the builder had been asked for that platform, and the base had but one.
  const [own, other] = process.arch === "arm64" ? ["arm64", "amd64"] : ["amd64", "arm64"];
  trial.args.TARGETARCH = other;
  await refused(`proof: Python is built for ${own}, but the image for ${other}: its base is of another platform`);
});

test("a second onnxruntime and a CUDA package are refused, and both are named", async () => {
  const unwanted = [wheel("onnxruntime-gpu", "1.18.1"), wheel("nvidia-cublas-cu11", "11.11.3.6")];
  for (const { file, bytes } of unwanted) {
    trial.serve(file, bytes);
  }
  const [runtime, library] = unwanted.map(({ file }) => `${trial.url}/${file}`);
  trial.write(
    "requirements.txt",
    `uvicorn\nnumpy<2\nonnxruntime\ntorch==2.0.1\nonnxruntime-gpu @ ${runtime}\nnvidia-cublas-cu11 @ ${library}\n`,
  );
  const { code, text } = await trial.build();
  expect(text).toContain("proof: the onnxruntime distributions are ['onnxruntime', 'onnxruntime-gpu']");
  expect(text).toContain(
    "proof: nvidia-cublas-cu11 11.11.3.6 is installed: a CUDA package has no place in the cpu image",
  );
  expect(code).not.toBe(0);
});

describe("an application", () => {
  const answering = (status: number) => `
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": ${status}, "headers": []})
    await send({"type": "http.response.body", "body": b"codeformer is missing"})
`;

  test("that never gets ready is refused, with its last answer", async () => {
    trial.write("src/facecraft/main.py", answering(503));
    trial.args.SMOKE_TIMEOUT = "3";
    await refused("proof: /ready did not answer 200 within 3 s; its last answer: 503 codeformer is missing");
  });

  test("that ends at start is refused, with what it said", async () => {
    trial.write("src/facecraft/main.py", "raise SystemExit('no such thing as a portrait')\n");
    await refused(
      /no such thing as a portrait[\s\S]*proof: the application ended with code \d+ before \/ready answered 200/,
    );
  });

  test("that never gets ready passes when the boot is turned off", async () => {
    trial.write("src/facecraft/main.py", answering(503));
    trial.args.SMOKE_TEST = "0";
    const { code, text } = await trial.build();
    expect({ code, text }).toSucceed();
  });
});

function serveIndex(on: Trial, project: string, { file, bytes }: ReturnType<typeof wheel>): void {
  on.serve(`index/${project}/`, `<a href="../files/${file.replace("+", "%2B")}">${file}</a>`);
  on.serve(`index/files/${file}`, bytes);
}

/** What `python setup.py sdist` makes, as far as pip needs it. */
function sourceDistribution(name: string, version: string, options: string): Buffer {
  const setup = `from setuptools import setup\nsetup(name='${name}', version='${version}', ${options})\n`;
  return zip({
    [`${name}-${version}/setup.py`]: setup,
    [`${name}-${version}/PKG-INFO`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
  });
}
