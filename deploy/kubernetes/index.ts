import * as pulumi from "@pulumi/pulumi";
import { FacecraftRelease } from "../facecraftRelease.ts";
import { FacecraftDeployment } from "./facecraftDeployment.ts";

const config = new pulumi.Config("facecraft-kubernetes");
const { outputs } = FacecraftRelease.fromStack(config.require("from"));
const deployment = new FacecraftDeployment("facecraft", {
  release: outputs,
  settings: {
    namespace: config.get("namespace") ?? "facecraft",
    replicas: config.getNumber("replicas") ?? 2,
    cpus: config.getNumber("cpus") ?? 2,
    memory: config.get("memory") ?? "4Gi",
    gpus: config.getNumber("gpus") ?? 1,
    scratch: config.get("scratch") ?? "2Gi",
    pullSecret: config.get("pullSecret") ?? "",
  },
});

/** What this stack has proven, for `FacecraftRelease.fromStack`. */
export const release = deployment.proven;
export const host = deployment.host;
