import * as pulumi from "@pulumi/pulumi";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { beforeAll, describe, expect, test } from "vitest";
import { type ClusterSettings, renderManifests } from "../../deploy/kubernetes/manifests.ts";
import type { Release } from "../../deploy/release.ts";
import { outputs } from "./outputs.ts";

const settings: ClusterSettings = {
  namespace: "facecraft",
  replicas: 2,
  cpus: 2,
  memory: "4Gi",
  gpus: 1,
  scratch: "2Gi",
  pullSecret: "",
};
const render = (release: Partial<Release> = {}, change: Partial<ClusterSettings> = {}) =>
  renderManifests(outputs(release), { ...settings, ...change });
const pod = (...args: Parameters<typeof render>) => {
  // biome-ignore lint/suspicious/noExplicitAny: manifests are read here, not written
  const { deployment } = render(...args) as any;
  return { spec: deployment.spec.template.spec, container: deployment.spec.template.spec.containers[0] };
};

describe("a release on a cluster", () => {
  test.each([
    ["cpu", {}],
    ["gpu", { pullSecret: "registry" }],
    ["gpu", { replicas: 1 }],
  ] as const)("is valid by the schemas of the Kubernetes API: %s %o", (variant, change) => {
    const { deployment, service, disruptionBudget } = render({ variant }, change);
    // biome-ignore-start lint/suspicious/noExplicitAny: the schema judges, not the type
    expect(() => new Deployment(deployment as any).validate()).not.toThrow();
    expect(() => new Service(service as any).validate()).not.toThrow();
    expect(() => new PodDisruptionBudget(disruptionBudget as any).validate()).not.toThrow();
    const wrong = { ...deployment, spec: { ...deployment.spec, replicas: "two" } };
    expect(() => new Deployment(wrong as any).validate()).toThrow(/replicas/);
    // biome-ignore-end lint/suspicious/noExplicitAny: as above
  });

  test("runs the image by digest, as a numeric user, on a read-only root with room where it writes", () => {
    const { spec, container } = pod();
    expect(container.image).toBe(outputs().imageRef);
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)).toEqual([
      "/app/uploads",
      "/app/processed",
      "/app/logs",
      "/tmp",
    ]);
  });

  test("is asked as the image's health check asks: the start period is the startup probe's", () => {
    const { container } = pod();
    const http = { httpGet: { path: "/ready", port: "http" }, timeoutSeconds: 10 };
    expect(container.startupProbe).toEqual({ ...http, periodSeconds: 5, failureThreshold: 54 });
    expect(container.readinessProbe).toEqual({ ...http, periodSeconds: 30, failureThreshold: 3 });
    expect(container.livenessProbe.httpGet.path).toBe("/health");
    expect(render().deployment.spec).toMatchObject({ progressDeadlineSeconds: 570 });
  });

  test("asks for GPUs when the image is for them, and does not wait for a spare one to roll out", () => {
    expect(pod({ variant: "gpu" }, { gpus: 2 }).container.resources.limits).toEqual({
      memory: "4Gi",
      "nvidia.com/gpu": "2",
    });
    expect(pod().container.resources.limits).toEqual({ memory: "4Gi" });
    expect(render({ variant: "gpu" }).deployment.spec).toMatchObject({
      strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    });
  });

  test("lets nodes be drained: one pod at a time, and a single pod too", () => {
    expect(render().disruptionBudget.spec).toMatchObject({ maxUnavailable: 1 });
    expect(render({}, { replicas: 1 }).disruptionBudget.spec).toMatchObject({ minAvailable: 0 });
  });
});

describe("the component", () => {
  const registered: { type: string; inputs: Record<string, unknown> }[] = [];
  beforeAll(async () => {
    await pulumi.runtime.setMocks({
      newResource: ({ type, name, inputs }) => {
        registered.push({ type, inputs });
        return { id: `${name}-id`, state: inputs };
      },
      call: () => ({}),
    });
  });

  test("makes a service, a deployment and a disruption budget, and hands on the release", async () => {
    const { FacecraftDeployment } = await import("../../deploy/kubernetes/facecraftDeployment.ts");
    const { proven, host } = new FacecraftDeployment("facecraft", { release: outputs(), settings });
    const value = <T>(output: pulumi.Output<T>) => new Promise<T>((resolve) => output.apply(resolve));
    expect(await value(proven)).toEqual(outputs());
    expect(await value(host)).toBe("facecraft-cpu.facecraft.svc");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(registered.map(({ type }) => type).sort()).toEqual([
      "facecraft:deploy:FacecraftDeployment",
      "kubernetes:apps/v1:Deployment",
      "kubernetes:core/v1:Service",
      "kubernetes:policy/v1:PodDisruptionBudget",
    ]);
  });
});
