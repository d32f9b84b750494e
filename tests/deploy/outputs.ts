import type { Release } from "../../deploy/release.ts";

/** The documented outputs of an image stack, as `pulumi stack output --json` shows them. */
export function outputs(change: Partial<Release> = {}): Release {
  const digest = `sha256:${"a".repeat(64)}`;
  return {
    imageRef: `docker.io/djok/facecraft:1.2.0-cpu-0a1b2c3d@${digest}`,
    digest,
    tags: ["docker.io/djok/facecraft:cpu", "docker.io/djok/facecraft:1.2.0-cpu-0a1b2c3d"],
    variant: "cpu",
    version: "1.2.0",
    revision: "1".repeat(40),
    torchIndexUrl: "https://download.pytorch.org/whl/cpu",
    labels: { "org.opencontainers.image.title": "facecraft" },
    healthcheck: { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "180s", retries: 3 },
    models: { u2net: { file: "/x.onnx", url: "https://example.org/x.onnx", sha256: "b".repeat(64), sizeBytes: 7 } },
    proof: {
      ...{ torch: "2.0.1+cpu", cuda: null, onnxruntime: "1.32.0", boot: "passed", portrait: "passed" },
      ...{ modelsOpened: ["u2net"], network: "silent", gpu: null, readySeconds: 1.8, peakMemoryBytes: 412_345_678 },
    },
    ...change,
  };
}
