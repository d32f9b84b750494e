import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ProvenanceInputs, provenanceOf } from "../../attest/provenance.ts";
import { sbomOf } from "../../attest/sbom.ts";
import { output } from "../../local/exec.ts";
import { paths, root } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { localEnvironment } from "../../local/pulumi.ts";
import type { ImageFacts } from "../../registry/facts.ts";
import { inputs, facts as madeUp } from "../attest/made.ts";

const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
};

/** What the registry has of an attached statement, by what its annotation says that it is. */
const predicateTypes = {
  signature: "https://sigstore.dev/cosign/sign/v1",
  cyclonedx: "https://cyclonedx.org/bom",
  slsaprovenance1: "https://slsa.dev/provenance/v1",
};
export type Kind = keyof typeof predicateTypes;

interface Index {
  manifests: { digest: string; size: number }[];
}

/**
 * Tiny images that say of themselves what the program's images say, in a repository of their own of the local registry; signed
 * by cosign's own commands, and tampered with by the registry's.
 */
export class SignedImages {
  readonly folder = mkdtempSync(join(tmpdir(), "facecraft-signed-"));
  readonly repository: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #port: number;

  private constructor(port: number, env: NodeJS.ProcessEnv) {
    this.#port = port;
    this.env = env;
    this.repository = `localhost:${port}/test-${randomBytes(4).toString("hex")}/facecraft`;
  }

  /** With the keys `own` and `other`. */
  static async make(): Promise<SignedImages> {
    const ports = knownPorts();
    if (!ports) {
      throw new Error("The local services are not up; run the engine tests with `make test`.");
    }
    const images = new SignedImages(ports.registry, {});
    const env = await localEnvironment(join(images.folder, "state"));
    Object.assign(images.env, env, { COSIGN_PASSWORD: "" });
    for (const key of ["own", "other"]) {
      await output("cosign", ["generate-key-pair", `--output-key-prefix=${join(images.folder, key)}`], {
        env: images.env,
      });
    }
    return images;
  }

  key(name: "own" | "other"): string {
    return join(this.folder, `${name}.pub`);
  }

  /**
   * Builds and pushes an image that is like no other.
   *
   * @param tag default: one that no image has
   * @returns `repository:tag@sha256:...`
   */
  async push(tag = `1.2.3-cpu-${randomBytes(4).toString("hex")}`): Promise<string> {
    const context = mkdtempSync(join(this.folder, "image-"));
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(context, path)), { recursive: true });
      writeFileSync(join(context, path), text);
    };
    const { record, measured, contents, labels } = madeUp;
    write("base/note", randomBytes(8).toString("hex"));
    write("measured/usr/share/facecraft/measured.json", JSON.stringify(measured));
    write("proof/usr/share/facecraft/proof.json", JSON.stringify(record));
    write("proof/usr/share/facecraft/contents.json", JSON.stringify(contents));
    const label = Object.entries(labels).map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}\n`);
    write("Dockerfile", `FROM scratch\nCOPY base/ /\nCOPY measured/ /\nCOPY proof/ /\n${label.join("")}`);
    const name = `${this.repository}:${tag}`;
    const metadata = join(context, "metadata.json");
    await output(
      "buildctl",
      [
        ...["--addr", `unix://${paths.buildkitSocket}`, "build", "--frontend", "dockerfile.v0"],
        ...["--local", `context=${context}`, "--local", `dockerfile=${context}`, "--metadata-file", metadata],
        ...["--output", `type=image,name=${name},push=true,oci-mediatypes=true`],
      ],
      { env: this.env },
    );
    return `${name}@${JSON.parse(readFileSync(metadata, "utf8"))["containerimage.digest"]}`;
  }

  /** Signs an image and attests its SBOM and its provenance, as a release is. */
  async sign(image: string, key: "own" | "other" = "own"): Promise<void> {
    await output("cosign", ["sign", ...this.#signing(key), exact(image)], { env: this.env });
    const facts = await this.facts(image);
    await this.attest(image, "cyclonedx", JSON.parse(sbomOf(facts)), key);
    await this.attest(image, "slsaprovenance1", this.provenance(facts), key);
  }

  /** A pushed and signed image. */
  async release(): Promise<string> {
    const image = await this.push();
    await this.sign(image);
    return image;
  }

  provenance(facts: ImageFacts, change: Partial<ProvenanceInputs> = {}): unknown {
    return provenanceOf({ ...inputs, ...change }, facts);
  }

  async attest(image: string, kind: Kind, predicate: unknown, key: "own" | "other" = "own"): Promise<void> {
    const file = join(this.folder, `${randomBytes(4).toString("hex")}.json`);
    writeFileSync(file, JSON.stringify(predicate));
    const args = ["attest", ...this.#signing(key), `--type=${kind}`, `--predicate=${file}`, exact(image)];
    await output("cosign", args, { env: this.env });
  }

  #signing(key: string): string[] {
    return ["--yes", `--key=${join(this.folder, `${key}.key`)}`, "--tlog-upload=false", "--use-signing-config=false"];
  }

  /** What an image says of itself. */
  async facts(image: string): Promise<ImageFacts> {
    const script = `import("./registry/facts.ts").then(async (m) => console.log(JSON.stringify(await m.readFacts("${image}"))))`;
    return JSON.parse(await output("node", ["-e", script], { cwd: root, env: this.env }));
  }

  /**
   * Removes what is attached of a kind, as a registry does that has the referrers API.
   *
   * @param listed leave it in cosign's own list, as others do
   */
  async detach(image: string, kind: Kind, listed = false): Promise<void> {
    const gone = await this.#attached(image, kind);
    const index = await this.#index(image);
    if (!listed) {
      await this.#putIndex(image, {
        ...index,
        manifests: index.manifests.filter(({ digest }) => !gone.includes(digest)),
      });
    }
    for (const digest of gone) {
      await this.#ask("DELETE", `manifests/${digest}`);
    }
  }

  /** Attaches to an image, beside what it has, what is attached to another, byte for byte. */
  async copyAttached(kind: Kind, from: string, to: string): Promise<void> {
    const [theirs, own] = [await this.#index(from), await this.#index(to)];
    const copied = await this.#attached(from, kind);
    own.manifests.push(...theirs.manifests.filter(({ digest }) => copied.includes(digest)));
    await this.#putIndex(to, own);
  }

  /** Changes one byte of what an attached statement states. */
  async alter(image: string, kind: Kind, from: string, to: string): Promise<void> {
    const [digest = ""] = await this.#attached(image, kind);
    const manifest = JSON.parse((await this.#ask("GET", `manifests/${digest}`)).toString());
    const [layer] = manifest.layers;
    const bundle = JSON.parse((await this.#ask("GET", `blobs/${layer.digest}`)).toString());
    const stated = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString();
    const changed = stated.replace(from, to);
    if (changed === stated || changed.length !== stated.length) {
      throw new Error(`the test's change of ${from} changes nothing, or too much`);
    }
    bundle.dsseEnvelope.payload = Buffer.from(changed).toString("base64");
    const blob = Buffer.from(JSON.stringify(bundle));
    await this.#ask("POST", `blobs/uploads/?digest=${digestOf(blob)}`, blob, "application/octet-stream");
    const other = Buffer.from(
      JSON.stringify({ ...manifest, layers: [{ ...layer, digest: digestOf(blob), size: blob.length }] }),
    );
    await this.#ask("PUT", `manifests/${digestOf(other)}`, other, types.manifest);
    const index = await this.#index(image);
    const entry = index.manifests.find((one) => one.digest === digest);
    Object.assign(entry ?? {}, { digest: digestOf(other), size: other.length });
    await this.#putIndex(image, index);
  }

  async #attached(image: string, kind: Kind): Promise<string[]> {
    const { manifests } = await this.#index(image);
    const found = await Promise.all(
      manifests.map(async ({ digest }) => {
        const manifest = JSON.parse((await this.#ask("GET", `manifests/${digest}`)).toString());
        return manifest.annotations?.["dev.sigstore.bundle.predicateType"] === predicateTypes[kind] ? [digest] : [];
      }),
    );
    return found.flat();
  }

  async #index(image: string): Promise<Index> {
    return JSON.parse((await this.#ask("GET", `manifests/${fallbackTag(image)}`)).toString());
  }

  async #putIndex(image: string, index: Index): Promise<void> {
    await this.#ask("PUT", `manifests/${fallbackTag(image)}`, Buffer.from(JSON.stringify(index)), types.index);
  }

  #ask(method: string, path: string, body?: Buffer, type?: string): Promise<Buffer> {
    const name = this.repository.slice(this.repository.indexOf("/") + 1);
    const ca = readFileSync(join(paths.tls, "ca.pem"));
    return new Promise((resolve, reject) => {
      const headers = {
        accept: Object.values(types).join(", "),
        ...(type && body && { "content-type": type, "content-length": body.length }),
      };
      const url = path.startsWith("https:") ? path : `https://localhost:${this.#port}/v2/${name}/${path}`;
      request(url, { method, ca, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () => {
          const { statusCode = 0, headers } = response;
          if (method === "POST" && statusCode === 202 && headers.location) {
            // The registry takes a blob in two steps.
            const place = new URL(headers.location, url);
            place.searchParams.set("digest", new URL(url).searchParams.get("digest") ?? "");
            this.#ask("PUT", place.href, body, type).then(resolve, reject);
          } else if (statusCode >= 200 && statusCode < 300) {
            resolve(Buffer.concat(parts));
          } else {
            reject(new Error(`${method} ${path} was answered ${statusCode}: ${Buffer.concat(parts)}`));
          }
        });
      })
        .on("error", reject)
        .end(body);
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `repository@sha256:...` */
function exact(image: string): string {
  return image.replace(/:[^:/@]+@/, "@");
}

/** Where cosign keeps what is attached in a registry without the referrers API. */
function fallbackTag(image: string): string {
  return image.slice(image.indexOf("@") + 1).replace(":", "-");
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
