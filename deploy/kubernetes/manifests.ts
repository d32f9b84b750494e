import type * as k8s from "@pulumi/kubernetes/types/input.js";
import { seconds } from "../../registry/healthcheck.ts";
import type { Release } from "../release.ts";
import type { Settings } from "./settings.ts";

/** All settings but those that find the release. */
export type ClusterSettings = Omit<Settings, "from" | "require" | "verify">;

export interface Manifests {
  deployment: k8s.apps.v1.Deployment;
  service: k8s.core.v1.Service;
  disruptionBudget: k8s.policy.v1.PodDisruptionBudget;
}

/** What runs a release on a cluster, in plain values. */
export function renderManifests(release: Release, settings: ClusterSettings): Manifests {
  const { namespace, replicas } = settings;
  const selector = { "app.kubernetes.io/name": "facecraft", "app.kubernetes.io/component": release.variant };
  const labels = { ...selector, "app.kubernetes.io/version": release.version.replace("+", "_") };
  const metadata = {
    name: `facecraft-${release.variant}`,
    namespace,
    labels,
    annotations: { "facecraft/revision": release.revision },
  };
  return {
    deployment: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas,
        selector: { matchLabels: selector },
        // GPUs are rarely idle: a new pod must be able to wait for the one it replaces.
        strategy: {
          rollingUpdate: release.variant === "gpu" ? { maxSurge: 0, maxUnavailable: 1 } : { maxUnavailable: 0 },
        },
        // Longer than a pod may take to start, so that the update fails only when the pod has.
        progressDeadlineSeconds: startupSeconds(release) + 300,
        template: { metadata: { labels }, spec: podSpec(release, settings) },
      },
    },
    service: {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { selector, ports: [{ name: "http", port: 80, targetPort: "http" }] },
    },
    disruptionBudget: {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata,
      // With a single pod, a budget that keeps it would keep its node from ever being drained.
      spec: { selector: { matchLabels: selector }, ...(replicas > 1 ? { maxUnavailable: 1 } : { minAvailable: 0 }) },
    },
  };
}

function podSpec(release: Release, settings: ClusterSettings): k8s.core.v1.PodSpec {
  const { healthcheck, variant } = release;
  const gpus = variant === "gpu" ? { "nvidia.com/gpu": String(settings.gpus) } : {};
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...(settings.pullSecret && { imagePullSecrets: [{ name: settings.pullSecret }] }),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    },
    // More than the application's own 20 s for requests under way.
    terminationGracePeriodSeconds: 30,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "kubernetes.io/hostname",
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: { "app.kubernetes.io/name": "facecraft" } },
      },
    ],
    containers: [
      {
        name: "facecraft",
        image: release.imageRef,
        ports: [{ name: "http", containerPort: healthcheck.port }],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
        resources: {
          requests: { cpu: String(settings.cpus), memory: settings.memory, ...gpus },
          limits: { memory: settings.memory, ...gpus },
        },
        ...probes(release),
        volumeMounts: Object.entries(folders).map(([name, mountPath]) => ({ name, mountPath })),
      },
    ],
    volumes: Object.keys(folders).map((name) => ({ name, emptyDir: { sizeLimit: settings.scratch } })),
  };
}

/** What a pod writes, and where. */
const folders = { uploads: "/app/uploads", processed: "/app/processed", logs: "/app/logs", tmp: "/tmp" };

/** The image's health check, as Kubernetes asks it: its start period is the startup probe. */
function probes({
  healthcheck,
}: Release): Pick<k8s.core.v1.Container, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const timeoutSeconds = Math.ceil(seconds(healthcheck.timeout));
  const periodSeconds = Math.ceil(seconds(healthcheck.interval));
  const ready = { httpGet: { path: healthcheck.path, port: "http" }, timeoutSeconds };
  const failureThreshold = healthcheck.retries;
  return {
    startupProbe: { ...ready, periodSeconds: startupPeriod, failureThreshold: startupAttempts(healthcheck) },
    readinessProbe: { ...ready, periodSeconds, failureThreshold },
    // Whether the process lives is another question than whether it is ready: a restart does not load models faster.
    livenessProbe: { httpGet: { path: "/health", port: "http" }, timeoutSeconds, periodSeconds, failureThreshold },
  };
}

/** Asked more often than a running pod, so that a rollout does not wait for the next full interval. */
const startupPeriod = 5;

function startupAttempts({ startPeriod, interval, retries }: Release["healthcheck"]): number {
  return Math.ceil((seconds(startPeriod) + retries * seconds(interval)) / startupPeriod);
}

function startupSeconds({ healthcheck }: Release): number {
  return startupAttempts(healthcheck) * startupPeriod;
}
