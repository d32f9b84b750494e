import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
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
  expect(built.code, built.text).toBe(0);
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
    expect(right.code, right.text).toBe(0);

    trial.args.SHAPE_PREDICTOR_SHA256 = sha256("another");
    await refused(`expected  sha256:${sha256("another")}`, { target: "shape-predictor" });
  });

  test("that the image's user cannot read is refused", async () => {
    const edit = (text: string) => text.replace("path.chmod(0o444)", "path.chmod(0o400)");
    await refused("proof: uid 1000 cannot read a model", { edit });
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

test("a second onnxruntime and a CUDA package are refused, and both are named", async () => {
  const unwanted = [wheel("onnxruntime-gpu", "1.18.1"), wheel("nvidia-cublas-cu11", "11.11.3.6")];
  for (const { file, bytes } of unwanted) trial.serve(file, bytes);
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
    expect(code, text).toBe(0);
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
