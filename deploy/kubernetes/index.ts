import { FacecraftRelease } from "../facecraftRelease.ts";
import { FacecraftDeployment } from "./facecraftDeployment.ts";
import { readSettings } from "./settings.ts";

const { from, require: required, verify, ...settings } = readSettings();
const { outputs } = FacecraftRelease.fromStack(from, "", required, { verify });
const deployment = new FacecraftDeployment("facecraft", { release: outputs, settings });

/** What this stack has proven, for `FacecraftRelease.fromStack`. */
export const release = deployment.proven;
export const host = deployment.host;
