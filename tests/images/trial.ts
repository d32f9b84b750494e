import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { baseImages } from "../../local/base.ts";
import { run } from "../../local/exec.ts";
import { paths, root } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { toolPath } from "../../local/tools.ts";
import { wheelsAddress } from "../../local/wheels.ts";
import { type Variant, variants } from "../../plan/variants.ts";
import { buildctlArgs, documentedBuild } from "./documentedBuild.ts";
import { mainModule } from "./mainModule.ts";

/** A small application that keeps the contract: another one than the project's own, and quick to install. */
const application = {
  "requirements.txt": "uvicorn\nnumpy<2\nonnxruntime\nPillow\ntorch==2.0.1\ntorchvision==0.15.2\n",
  "src/facecraft/__init__.py": "",
  "src/facecraft/main.py": mainModule(),
};

const models = {
  SHAPE_PREDICTOR: "a shape predictor",
  CODEFORMER: "a codeformer",
  U2NET: "a u2net",
};

export interface BuildOptions {
  target?: string;
  /** Changes of files, by their paths in the project. */
  edit?: Record<string, (text: string) => string>;
  /** What buildctl does with the image. */
  output?: string;
  /** Modes of the checkout's files and folders: those of its umask. */
  umask?: number;
  /** Default: as the Dockerfile's first lines say. */
  command?: readonly string[];
  /** Something else of the builder than an image. */
  request?: string;
}

export interface Built {
  code: number;
  /** All that the builder said. */
  text: string;
  /** Of the image, where it was made into one. */
  digest?: string;
}

/** What is built, and where. */
export interface TrialPlace {
  variant: Variant;
  /** The builder's. */
  socket: string;
}

/** Builds a Dockerfile as it stands, from an application and models of the test's own. */
export class Trial {
  readonly folder = mkdtempSync(join(tmpdir(), "facecraft-image-"));
  readonly files = new Map<string, Buffer>();
  readonly args: Record<string, string>;
  readonly #server: Server;
  readonly #place: TrialPlace;
  readonly url: string;

  private constructor(server: Server, args: Record<string, string>, place: TrialPlace) {
    this.#server = server;
    this.#place = place;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.args = { ...args };
    for (const [path, text] of Object.entries(application)) {
      this.write(path, text);
    }
    for (const [name, text] of Object.entries(models)) {
      this.serve(name.toLowerCase(), text);
      this.args[`${name}_URL`] = `${this.url}/${name.toLowerCase()}`;
      this.args[`${name}_SHA256`] = sha256(text);
      this.args[`${name}_DOWNLOAD_SHA256`] = sha256(text);
    }
  }

  /** Of the CPU image on the local builder, where nothing else is said. */
  static async make(place: TrialPlace = { variant: "cpu", socket: paths.buildkitSocket }): Promise<Trial> {
    const ports = knownPorts();
    if (!ports) {
      throw new Error("The local services are not up; run these tests with `make test`.");
    }
    const files = { current: new Map<string, Buffer>() };
    const server = createServer((request, response) => {
      const path = decodeURIComponent(request.url?.slice(1) ?? "");
      const body = files.current.get(path);
      response.writeHead(body ? 200 : 404, path.endsWith("/") ? { "content-type": "text/html" } : {}).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { runtimeBase, torch } = variants[place.variant];
    const base = (await baseImages())[runtimeBase] ?? "";
    const index = `${wheelsAddress(ports)}/whl/${torch.flavour}`;
    const trial = new Trial(server, { [runtimeBase]: base, TORCH_INDEX_URL: index }, place);
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

  /** Builds the image from a plain checkout. Without an output, the result stays in the cache. */
  async build(options: BuildOptions = {}): Promise<Built> {
    const checkout = this.#checkout(options.edit);
    const metadata = join(checkout, "metadata.json");
    if (options.umask !== undefined) {
      applyUmask(join(checkout, "docker"), options.umask);
    }
    try {
      const build = () =>
        run(
          "buildctl",
          [
            ...["--addr", `unix://${this.#place.socket}`, "build", "--progress=plain", "--frontend", "dockerfile.v0"],
            ...buildctlArgs(
              options.command ?? documentedBuild(variants[this.#place.variant].dockerfile),
              checkout,
              this.folder,
            ),
            ...["--metadata-file", metadata],
            ...(options.target ? ["--opt", `target=${options.target}`] : []),
            ...(options.request ? ["--opt", `requestid=${options.request}`] : []),
            ...(options.output ? ["--output", options.output] : []),
            ...["--secret", `id=ca_bundle,src=${paths.trustedCas}`],
            ...Object.entries(this.args).flatMap(([name, value]) => ["--opt", `build-arg:${name}=${value}`]),
          ],
          { env: { ...process.env, PATH: toolPath() } },
        );
      let built = await build();
      // On a machine that is busy, BuildKit gives up after seconds on what is between it and its client, though the build was right.
      if (built.code !== 0 && built.text.endsWith("error: context deadline exceeded\n")) {
        built = await build();
      }
      const told = existsSync(metadata) ? JSON.parse(readFileSync(metadata, "utf8")) : {};
      return { ...built, digest: told["containerimage.digest"] };
    } finally {
      rmSync(checkout, { recursive: true, force: true });
    }
  }

  /** A copy of the folder of the Dockerfiles, with the test's edits. */
  #checkout(edits: BuildOptions["edit"] = {}): string {
    const checkout = mkdtempSync(join(tmpdir(), "facecraft-checkout-"));
    cpSync(join(root, "docker"), join(checkout, "docker"), { recursive: true });
    for (const [file, edit] of Object.entries(edits)) {
      const before = readFileSync(join(checkout, file), "utf8");
      const after = edit(before);
      if (after === before) {
        throw new Error(`the test's edit of ${file} changes nothing`);
      }
      writeFileSync(join(checkout, file), after);
    }
    return checkout;
  }

  close(): void {
    this.#server.close();
  }
}

function applyUmask(path: string, umask: number): void {
  const status = statSync(path);
  chmodSync(path, (status.mode & 0o100 ? 0o777 : 0o666) & ~umask);
  if (status.isDirectory()) {
    for (const name of readdirSync(path)) {
      applyUmask(join(path, name), umask);
    }
  }
}

export function sha256(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex");
}
