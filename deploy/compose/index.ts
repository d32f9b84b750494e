import { FacecraftRelease } from "../facecraftRelease.ts";
import { ComposeService } from "./composeService.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings();
const { from, imageRef, require: required, verify } = settings;
const { outputs } = FacecraftRelease.fromStack(from, imageRef, required, { verify });
const service = new ComposeService("facecraft", { release: outputs, settings });

/** What this stack has proven; `facecraft-deploy:from` of another stack may name this one, to promote it. */
export const release = service.proven;
export const composeFile = service.composeFile;
export const url = service.url;
