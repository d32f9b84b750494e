import { afterAll, beforeAll, expect, test } from "vitest";
import { Trial } from "./trial.ts";
import { wheel } from "./wheel.ts";

let trial: Trial;

/** A package that is used once, and calls home three seconds later. */
const calling = wheel("calling", "1.0", {
  "calling/__init__.py": `
import socket
import threading


def call():
    try:
        socket.create_connection(("192.0.2.7", 443), timeout=1)
    except OSError:
        pass


timer = threading.Timer(3, call)
timer.daemon = True
timer.start()
`,
});

beforeAll(async () => {
  trial = await Trial.make();
  trial.serve(`files/${calling.file}`, calling.bytes);
});
afterAll(() => trial?.close());

/** Lets the application import something, and its packages be watched. */
async function watched(...imports: string[]) {
  trial.write("src/facecraft/more.py", imports.map((name) => `import ${name}\n`).join(""));
  return trial.build({ target: "quiet" });
}

test("packages that ask nobody pass, and a changed line of the application does not watch them again", async () => {
  expect(await watched("onnxruntime")).toSucceed();
  const again = await watched("onnxruntime", "onnxruntime");
  expect(again).toSucceed();
  expect(stepOf(again.text)).toContain("CACHED");
});

test("a package that calls home after the portrait would be answered is refused, with the host and the line", async () => {
  const requirements = `uvicorn\nnumpy<2\nonnxruntime\nPillow\ntorch==2.0.1\ntorchvision==0.15.2\ncalling @ ${trial.url}/files/${calling.file}\n`;
  trial.write("requirements.txt", requirements);
  const { code, text } = await watched("calling");
  expect(text).toContain("proof: what the application imports tried to leave the image once within 10 s");
  expect(text).toContain("192.0.2.7, port 443 (/venv/lib/python3.11/site-packages/calling/__init__.py:");
  expect(code).not.toBe(0);

  trial.args.PROOF_NETWORK = "allowed";
  const allowed = await watched("calling");
  expect(allowed).toSucceed();
  expect(allowed.text).toContain("proof: warning: what the application imports tried to leave");
});

/** What the builder says of the step that watches. */
function stepOf(text: string): string {
  const [, step = "none"] = /^#(\d+) \[quiet .*quiet\.py/m.exec(text) ?? [];
  return text
    .split("\n")
    .filter((line) => line.startsWith(`#${step} `))
    .join("\n");
}
