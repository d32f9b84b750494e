import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Release } from "../release.ts";
import { type ClusterSettings, renderManifests } from "./manifests.ts";

export interface FacecraftDeploymentArgs {
  release: pulumi.Input<Release>;
  settings: ClusterSettings;
}

/** A release on a Kubernetes cluster. The update waits until its pods are ready, and fails when they are not. */
export class FacecraftDeployment extends pulumi.ComponentResource {
  /** Name of the service in the cluster. */
  readonly host: pulumi.Output<string>;
  /** The release, known only when its pods were ready. */
  readonly proven: pulumi.Output<Release>;

  constructor(name: string, { release, settings }: FacecraftDeploymentArgs, options?: pulumi.ComponentResourceOptions) {
    super("facecraft:deploy:FacecraftDeployment", name, {}, options);
    const parent = { parent: this };
    const manifests = pulumi.output(release).apply((known) => renderManifests(known, settings));
    const part = <Key extends "metadata" | "spec", Kind extends keyof ReturnType<typeof renderManifests>>(
      kind: Kind,
      key: Key,
    ) => manifests.apply((all) => all[kind][key] ?? {});
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      { metadata: part("service", "metadata"), spec: part("service", "spec") },
      parent,
    );
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: part("deployment", "metadata"),
        spec: part("deployment", "spec") as pulumi.Output<k8s.types.input.apps.v1.DeploymentSpec>,
      },
      parent,
    );
    new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption-budget`,
      { metadata: part("disruptionBudget", "metadata"), spec: part("disruptionBudget", "spec") },
      parent,
    );
    this.host = pulumi.interpolate`${service.metadata.name}.${settings.namespace}.svc`;
    this.proven = pulumi.all([deployment.id, release]).apply(([, known]) => known);
    this.registerOutputs({ host: this.host, proven: this.proven });
  }
}
