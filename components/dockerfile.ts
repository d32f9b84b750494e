import { readFileSync } from "node:fs";
import { readArgs } from "../artifacts/pins.ts";
import { ConfigError } from "./configReader.ts";

/** What this program reads from a Dockerfile, so that each fact stands there and nowhere else. */
export interface Dockerfile {
  path: string;
  /** Path of the ignore file that Docker reads with it; it says what of a directory is the application. */
  ignoreFile: string;
  /** Defaults of its ARGs: model URLs, pins, base images. */
  args: ReadonlyMap<string, string>;
  healthcheck: Healthcheck;
}

export interface Healthcheck {
  path: string;
  port: number;
  /** Durations as the Dockerfile writes them, for example "30s". */
  interval: string;
  timeout: string;
  startPeriod: string;
  retries: number;
}

export function readDockerfile(path: string): Dockerfile {
  const text = readFileSync(path, "utf8");
  return { path, ignoreFile: `${path}.dockerignore`, args: readArgs(text), healthcheck: parseHealthcheck(text, path) };
}

/** @throws Error when the Dockerfile declares no health check on an HTTP path, or leaves out one of its settings. */
export function parseHealthcheck(text: string, file: string): Healthcheck {
  const instruction = /^HEALTHCHECK\s(?:.*\\\r?\n)*.*$/m.exec(text)?.[0] ?? "";
  const flag = (name: string) => new RegExp(`--${name}=(\\S+)`).exec(instruction)?.[1];
  const [interval, timeout, startPeriod] = [flag("interval"), flag("timeout"), flag("start-period")];
  const retries = Number(flag("retries"));
  const port = Number(/^EXPOSE\s+(\d+)/m.exec(text)?.[1]);
  const path = /['"\d](\/[a-z][\w/-]*)/.exec(instruction)?.[1];
  if (!interval || !timeout || !startPeriod || !(retries > 0) || !(port > 0) || !path) {
    const wanted =
      "EXPOSE, and HEALTHCHECK with --interval, --timeout, --start-period, --retries and a command that asks a path";
    throw new ConfigError([`${file} has no complete health check; it needs ${wanted}.`]);
  }
  return { path, port, interval, timeout, startPeriod, retries };
}
