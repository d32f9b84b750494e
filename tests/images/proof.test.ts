import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readArgs } from "../../artifacts/pins.ts";
import { root } from "../../local/paths.ts";
import { variantNames, variants } from "../../plan/variants.ts";
import { documentedBuild } from "./documentedBuild.ts";
import { type Misbehaviour, mainModule, modelFiles } from "./mainModule.ts";
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

/** An application that does one thing otherwise. */
function misbehave(misbehaviour: Misbehaviour): void {
  trial.write("src/facecraft/main.py", mainModule(misbehaviour));
}

const { shapePredictor, codeformer, u2net } = modelFiles;

describe("a portrait", () => {
  const refusals: [what: string, portrait: string, sentence: RegExp][] = [
    [
      "the picture that went in",
      "body = picture.partition(b'\\r\\n--facecraft')[0]",
      /proof: .* has 512x512 pixels, not 648x648[\s\S]*proof: the portrait that comes out is the one that went in/,
    ],
    [
      "the picture that went in, scaled",
      "body = png(Image.open(io.BytesIO(picture)).resize((648, 648), Image.Resampling.NEAREST))",
      /proof: the portrait that comes out is the one that went in, at most scaled: they differ by 0\.\d of 255/,
    ],
    [
      "of a single colour",
      "body = png(Image.new('RGBA', (648, 648), 'white'))",
      /proof: the portrait that comes out is of a single colour: nobody is on it/,
    ],
    [
      "no picture",
      "body = png(Image.open(io.BytesIO(picture)))[:5000]",
      /proof: POST \S+ answered the portrait with image\/png that cannot be decoded: .*; the body begins: .PNG/,
    ],
    [
      "a PDF",
      "kind, body = 'application/pdf', b'%PDF-1.7'",
      /proof: POST \S+ answered the portrait with 200 and application\/pdf, not image\/png; the body begins: %PDF-1\.7/,
    ],
    [
      "an error",
      "status, kind, body = 500, 'text/plain', b'no such thing as a face'",
      /proof: POST \S+ answered the portrait with 500, not with 200; the body begins: no such thing as a face/,
    ],
  ];

  test.each(refusals)("that is %s is refused", async (_, portrait, sentence) => {
    misbehave({ portrait });
    await refused(sentence);
  });

  test("that takes too long is refused", async () => {
    misbehave({ portrait: "time.sleep(6); body = b''" });
    trial.args.PORTRAIT_TIMEOUT = "2";
    await refused("proof: POST /api/v1/process/quick did not answer the portrait within 2 s");
    expect(readArgs(readFileSync(join(root, "docker/Dockerfile.cpu"), "utf8")).get("PORTRAIT_TIMEOUT")).toBe("60");
  });
});

describe("a model of the application", () => {
  const swallowing: Misbehaviour = {
    start: `
try:
    import facecraft.codeformer_arch
except ImportError as error:
    print(f"Warning: could not initialize the enhancer: {error}")
print(os.environ.get("GREETING"))
`,
    opens: [shapePredictor, u2net],
  };

  test("that is never opened is refused with what the log says, and passes when it is listed", async () => {
    misbehave(swallowing);
    await refused(
      /proof: the application, .*, never opened CodeFormer \(.*codeformer\.pth, .* MB\): .* facecraft:unusedModels .*\n.*its log says:\n.*Warning: could not initialize the enhancer: No module named 'facecraft.codeformer_arch'/,
    );

    trial.args.UNUSED_MODELS = codeformer;
    trial.args.PROOF_ENVIRONMENT = "GREETING=good morning";
    const { record, measured } = await proven();
    expect(record).toMatchObject({
      boot: "passed",
      portrait: "passed",
      modelsOpened: [shapePredictor, u2net],
      unusedModels: [codeformer],
      network: "silent",
      environment: { GREETING: "good morning" },
      gpu: null,
    });
    expect(measured).toEqual({
      readySeconds: expect.any(Number),
      portraitSeconds: expect.any(Number),
      peakMemoryBytes: expect.any(Number),
    });
    expect(measured.peakMemoryBytes).toBeGreaterThan(10e6);
  });

  test("that only a second portrait opens is refused, though another check fails, too", async () => {
    misbehave({
      start: "served = []",
      opens: [codeformer, u2net],
      portrait: `
served.append(Path("${shapePredictor}").read_bytes() if served else None)
status, body = 503, b"try again"
`,
    });
    await refused(/proof: .* with 503, not with 200; .*\n.*proof: the application, .*, never opened shape predictor/);
  });

  test("that is listed and opened is refused", async () => {
    trial.args.UNUSED_MODELS = u2net;
    await refused(
      /proof: u2net human seg .* is listed in facecraft:unusedModels .* has opened it: take it off the list/,
    );
  });

  test("that is listed and none of the image's is refused", async () => {
    trial.args.UNUSED_MODELS = `${u2net} /app/models/no.onnx`;
    await refused(
      /proof: UNUSED_MODELS names \/app\/models\/no\.onnx, which is no model of this image; they are .*u2net/,
    );
  });
});

describe("the network", () => {
  const attempt = (statement: string) => `
try:
    ${statement}
except OSError as error:
    print(error)
`;

  test("that Python code asks is refused, with whom it asked and where, or is warned of where that is allowed", async () => {
    const start = [
      "socket.create_connection(('telemetry.example', 443))",
      "socket.create_connection(('192.0.2.7', 443))",
      "socket.socket(socket.AF_INET6).connect(('2001:db8::7', 443))",
    ];
    // A step that an earlier run has left in the builder's cache says nothing.
    misbehave({ start: `${start.map(attempt).join("")}\n# ${randomUUID()}` });
    const hosts = ["telemetry.example", "192.0.2.7", "2001:db8::7"];
    const lines = hosts.map((host) => `.*${host}, port 443 \\(/app/src/facecraft/main\\.py:\\d+\\)`).join("\\n");
    const tried = "the application tried to leave the image \\d times before its portrait was answered";
    await refused(
      new RegExp(`proof: ${tried}; facecraft:network: allowed .*\\n.*Python code asked for:\\n${lines}\\n`),
    );

    trial.args.PROOF_NETWORK = "allowed";
    const { record, text } = await proven();
    expect(text).toMatch(new RegExp(`proof: warning: ${tried}\\n.*Python code asked for:\\n${lines}\\n`));
    expect(record).toMatchObject({ network: "asked", portrait: "passed" });
  });

  const unseen: [who: string, start: string][] = [
    [
      "compiled code",
      `
import ctypes, struct
libc = ctypes.CDLL(None)
address = struct.pack("!HH4s8x", socket.htons(socket.AF_INET), 443, socket.inet_aton("192.0.2.7"))
libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))
`,
    ],
    [
      "another program, over IPv6",
      `
code = "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::7', 443))"
subprocess.run([sys.executable, "-I", "-S", "-c", code])
`,
    ],
  ];
  test.each(unseen)("that %s asks is refused", async (_, start) => {
    misbehave({ start });
    await refused(/proof: .* tried to leave the image once before .*, and Python code did not: a compiled library or/);
  });

  test("is not taken for asked by what stays on the machine", async () => {
    const start =
      attempt("socket.create_connection(('127.0.0.1', 9))") + attempt("socket.create_connection(('::1', 9))");
    misbehave({ start: `${start}socket.gethostbyname(socket.gethostname())\n` });
    expect(await trial.build()).toSucceed();
  });
});

/** What a build that must come about leaves in the image, and what it said. */
async function proven() {
  const folder = mkdtempSync(join(tmpdir(), "facecraft-proven-"));
  try {
    const stage =
      "\nFROM scratch AS told\nCOPY --from=release /usr/share/facecraft/proof.json /usr/share/facecraft/measured.json /\n";
    const built = await trial.build({
      target: "told",
      edit: { "docker/Dockerfile.cpu": (text) => text + stage },
      output: `type=local,dest=${folder}`,
    });
    expect(built).toSucceed();
    const read = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
    return { record: read("proof.json"), measured: read("measured.json"), text: built.text };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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
