import type { Release } from "../release.ts";
import type { Settings } from "./settings.ts";

/** A Compose file, as far as this project writes one. */
export interface ComposeFile {
  name: string;
  services: Record<string, Record<string, unknown>>;
  volumes: Record<string, object>;
}

/** Name of the one service. */
export const service = "facecraft";

type RunSettings = Pick<Settings, "project" | "address" | "port" | "memory" | "cpus" | "gpus" | "environment">;

/** The Compose file that runs a release: pinned by digest, read-only but for its volumes, health-checked as the image says. */
export function renderCompose(release: Release, settings: RunSettings): ComposeFile {
  const { healthcheck, variant } = release;
  return {
    name: settings.project,
    services: {
      [service]: {
        image: release.imageRef,
        restart: "unless-stopped",
        init: true,
        ports: [`${settings.address}:${settings.port}:${healthcheck.port}`],
        environment: settings.environment,
        volumes: Object.entries(folders).map(([name, folder]) => `${name}:${folder}`),
        read_only: true,
        tmpfs: ["/tmp"],
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        mem_limit: settings.memory,
        cpus: settings.cpus,
        pids_limit: 1024,
        // The command is the image's own; its times are repeated so that the file says what is waited for.
        healthcheck: {
          interval: healthcheck.interval,
          timeout: healthcheck.timeout,
          start_period: healthcheck.startPeriod,
          retries: healthcheck.retries,
        },
        // More than the application's own 20 s for requests under way.
        stop_grace_period: "30s",
        logging: { driver: "json-file", options: { "max-size": "10m", "max-file": "3" } },
        ...(variant === "gpu" && { deploy: { resources: { reservations: { devices: [gpus(settings.gpus)] } } } }),
      },
    },
    volumes: Object.fromEntries(Object.keys(folders).map((name) => [name, {}])),
  };
}

/** What the container writes, and where. */
const folders = { uploads: "/app/uploads", processed: "/app/processed", logs: "/app/logs" };

function gpus(count: number): object {
  return { driver: "nvidia", count: count === 0 ? "all" : count, capabilities: ["gpu"] };
}

/** The same release beside the running one: no port, volumes of its own, asked more often whether it is ready. */
export function asTrial(file: ComposeFile): ComposeFile {
  const { ports: _, restart: __, healthcheck, ...rest } = file.services[service] ?? {};
  const trial = { ...rest, restart: "no", healthcheck: { ...(healthcheck as object), interval: "2s" } };
  return { ...file, name: `${file.name}-trial`, services: { [service]: trial } };
}
