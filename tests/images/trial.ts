import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { baseImages } from "../../local/base.ts";
import { paths, root } from "../../local/paths.ts";
import { knownPorts } from "../../local/services.ts";
import { namedCaBundle } from "../../local/tls.ts";
import { toolPath } from "../../local/tools.ts";

/** A small application that keeps the contract: another one than the project's own, and quick to install. */
const application = {
  "requirements.txt": "uvicorn\nnumpy<2\nonnxruntime\ntorch==2.0.1\ntorchvision==0.15.2\n",
  "src/facecraft/__init__.py": "",
  "src/facecraft/main.py": `
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ready"})
`,
};

const models = {
  SHAPE_PREDICTOR: "a shape predictor",
  CODEFORMER: "a codeformer",
  U2NET: "a u2net",
};

export interface Built {
  code: number;
  /** All that the builder said. */
  text: string;
}

/** Builds the CPU Dockerfile as it stands, from an application and models of the test's own, on the local builder. */
export class Trial {
  readonly folder = mkdtempSync(join(tmpdir(), "facecraft-image-"));
  readonly files = new Map<string, Buffer>();
  readonly args: Record<string, string>;
  readonly #server: Server;
  readonly url: string;

  private constructor(server: Server, args: Record<string, string>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.args = { ...args };
    for (const [path, text] of Object.entries(application)) this.write(path, text);
    for (const [name, text] of Object.entries(models)) {
      this.serve(name.toLowerCase(), text);
      this.args[`${name}_URL`] = `${this.url}/${name.toLowerCase()}`;
      this.args[`${name}_SHA256`] = sha256(text);
      this.args[`${name}_DOWNLOAD_SHA256`] = sha256(text);
    }
  }

  static async make(): Promise<Trial> {
    const ports = knownPorts();
    if (!ports) throw new Error("The local services are not up; run these tests with `make test`.");
    const files = { current: new Map<string, Buffer>() };
    const server = createServer((request, response) => {
      const path = decodeURIComponent(request.url?.slice(1) ?? "");
      const body = files.current.get(path);
      response.writeHead(body ? 200 : 404, path.endsWith("/") ? { "content-type": "text/html" } : {}).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { PYTHON_IMAGE = "" } = await baseImages();
    const trial = new Trial(server, { PYTHON_IMAGE, TORCH_INDEX_URL: `http://localhost:${ports.wheels}/whl/cpu` });
    files.current = trial.files;
    return trial;
  }

  /** Puts a file into the application. */
  write(path: string, text: string): void {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Puts a file on the test's server. */
  serve(path: string, body: string | Buffer): void {
    this.files.set(path, Buffer.from(body));
  }

  /** Builds the image; `edit` changes the Dockerfile's text first. Without an output, the result stays in the cache. */
  build(options: { target?: string; edit?: (dockerfile: string) => string; output?: string } = {}): Promise<Built> {
    const text = readFileSync(join(root, "docker/Dockerfile.cpu"), "utf8");
    const edited = options.edit?.(text) ?? text;
    if (options.edit && edited === text) throw new Error("the test's edit of the Dockerfile changes nothing");
    const dockerfile = mkdtempSync(join(tmpdir(), "facecraft-dockerfile-"));
    writeFileSync(join(dockerfile, "Dockerfile"), edited);
    const ca = namedCaBundle();
    return run("buildctl", [
      ...["--addr", `unix://${paths.buildkitSocket}`, "build", "--progress=plain", "--frontend", "dockerfile.v0"],
      ...["--local", `context=${this.folder}`, "--local", `dockerfile=${dockerfile}`],
      ...(options.target ? ["--opt", `target=${options.target}`] : []),
      ...(options.output ? ["--output", options.output] : []),
      ...(ca ? ["--secret", `id=ca_bundle,src=${ca}`] : []),
      ...Object.entries(this.args).flatMap(([name, value]) => ["--opt", `build-arg:${name}=${value}`]),
    ]);
  }

  close(): void {
    this.#server.close();
  }
}

export function sha256(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex");
}

function run(program: string, args: string[]): Promise<Built> {
  const child = spawn(program, args, { env: { ...process.env, PATH: toolPath() } });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, text }));
  });
}
