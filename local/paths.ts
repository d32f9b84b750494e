import { join, resolve } from "node:path";
import { userHome as findUserHome } from "../artifacts/userHome.ts";

/** The program's folder; every command runs in it. */
export const root = resolve(import.meta.dirname, "..");

/** Everything that is brought up on this machine, and all that it writes: one folder, which clones may share. */
export const tools = resolve(process.env.FACECRAFT_TOOLS ?? join(root, ".tools"));

export const userHome = findUserHome();

/** Programs that were downloaded or built, under their own names. */
export const bin = join(tools, "bin");

/** Programs that must not be on the PATH. */
export const libexec = join(tools, "libexec");

export const pulumiHome = join(tools, "pulumi-home");

/** Name of the buildx builder that the local stacks use. */
export const localBuilder = "facecraft-local";

/** Data of the local services and stacks. */
export const local = join(tools, "local");

export const paths = {
  /** What the artifact server serves. */
  artifacts: join(local, "artifacts"),
  /** What the wheel index serves. */
  wheels: join(local, "wheels"),
  /** The registry's throw-away CA and certificate, and the system's CAs with it. */
  tls: join(local, "tls"),
  caBundle: join(local, "tls", "bundle.pem"),
  /** The system's CAs alone: what builds trust. */
  trustedCas: join(local, "tls", "trusted.pem"),
  /** Pid files, logs and ports of the services. */
  run: join(local, "run"),
  buildkitSocket: join(local, "run", "buildkitd.sock"),
  buildx: join(local, "buildx"),
  /** Descriptions of devices (CDI) for the local builder, beside those of the system. */
  cdi: join(local, "cdi"),
  /** State of the local stacks. */
  state: join(local, "state"),
  /** Stack config with the addresses of this machine filled in. */
  config: join(local, "config"),
} as const;
