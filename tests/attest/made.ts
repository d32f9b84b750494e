import type { ProvenanceInputs } from "../../attest/provenance.ts";
import type { ImageFacts } from "../../registry/facts.ts";

export const hex = (digit: string) => digit.repeat(64);

export const commit = "c".repeat(40);

/** What a made-up image says of itself. */
export const facts: ImageFacts = {
  repository: "localhost:5000/djok/facecraft",
  digest: `sha256:${hex("a")}`,
  manifestDigest: `sha256:${hex("b")}`,
  platform: "linux/amd64",
  created: "2023-11-14T22:13:20Z",
  labels: {
    "org.opencontainers.image.title": "facecraft",
    "org.opencontainers.image.description": "Facecraft portrait processing, CPU build",
    "org.opencontainers.image.vendor": "OBVT Toolbox",
    "org.opencontainers.image.licenses": "MIT",
    "org.opencontainers.image.source": "https://github.com/djok/facecraft",
    "org.opencontainers.image.version": "1.2.3",
    "org.opencontainers.image.revision": commit,
    "org.opencontainers.image.base.name": "docker.io/library/python:3.11-slim",
    "org.opencontainers.image.base.digest": `sha256:${hex("d")}`,
  },
  layers: [
    { digest: `sha256:${hex("1")}`, size: 1000, madeBy: "ADD rootfs.tar /" },
    { digest: `sha256:${hex("2")}`, size: 2000, madeBy: "COPY --link /layer/venv/ / # buildkit" },
  ],
  record: {
    torch: "2.0.1+cpu",
    cuda: null,
    onnxruntime: "1.18.1",
    models: { "/app/models/codeformer/codeformer.pth": hex("e") },
    packages: { torch: "2.0.1+cpu", basicsr: "1.4.2" },
    boot: "passed",
    portrait: "passed",
    gpu: null,
  },
  measured: { readySeconds: 3.2 },
  contents: {
    distribution: { id: "debian", version: "12", title: "Debian GNU/Linux 12 (bookworm)" },
    interpreter: { version: "3.11.9", file: "/usr/local/bin/python3.11" },
    python: [
      { name: "basicsr", version: "1.4.2", index: "default", file: "basicsr-1.4.2.tar.gz", sha256: hex("3") },
      {
        name: "torch",
        version: "2.0.1+cpu",
        index: "torch",
        file: "torch-2.0.1+cpu-cp311-cp311-linux_x86_64.whl",
        sha256: hex("4"),
      },
    ],
    basePython: [
      { name: "basicsr", version: "1.4.2", folder: "/usr/local/lib/python3.11/site-packages" },
      { name: "pip", version: "24.0", folder: "/usr/local/lib/python3.11/site-packages" },
    ],
    debian: [
      { name: "libc6", version: "2.36-9+deb12u7", architecture: "amd64", source: "glibc" },
      { name: "libstdc++6", version: "12.2.0-14", architecture: "amd64", source: "gcc-12" },
      { name: "perl-base", version: "5.36.0-7", architecture: "amd64", source: "perl 5.36.0-7~x1" },
      { name: "zlib1g", version: "1:1.2.13.dfsg-1", architecture: "amd64", source: "zlib1g" },
    ],
    models: [
      {
        file: "/app/models/codeformer/codeformer.pth",
        title: "CodeFormer",
        sha256: hex("e"),
        sizeBytes: 376_637_898,
        url: "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
      },
    ],
  },
};

/** What the program knew of the made-up image. */
export const inputs: ProvenanceInputs = {
  variant: "cpu",
  version: "1.2.3",
  revision: commit,
  source: `https://github.com/djok/facecraft.git#${commit}`,
  dockerfile: { path: "docker/Dockerfile.cpu", sha256: hex("5") },
  scriptsSha256: hex("6"),
  buildArgs: { TORCH_INDEX_URL: "https://download.pytorch.org/whl/cpu", PIP_INDEX_URL: "(secret)" },
  bases: [{ name: "docker.io/library/python:3.11-slim", digest: `sha256:${hex("d")}` }],
  models: [
    {
      name: "codeformer",
      file: "/app/models/codeformer/codeformer.pth",
      url: "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
      sha256: hex("e"),
    },
  ],
  platforms: ["linux/amd64"],
  builder: "gpu builder",
  program: { version: "1.0.0", commit: "f".repeat(40) },
};
