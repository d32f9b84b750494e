import { describe, expect, test } from "vitest";
import { asTrial, type ComposeFile, renderCompose, service } from "../../deploy/compose/composeFile.ts";
import { type Host, rollOut } from "../../deploy/compose/rollout.ts";
import type { Release } from "../../deploy/release.ts";
import { outputs } from "./outputs.ts";

const settings = {
  project: "facecraft",
  address: "127.0.0.1",
  port: 8080,
  memory: "4g",
  cpus: 2,
  gpus: 1,
  environment: { FACECRAFT_WORKERS: "2" },
};
const release = (digit: string, change: Partial<Release> = {}) => {
  const digest = `sha256:${digit.repeat(64)}`;
  return outputs({ digest, imageRef: `docker.io/djok/facecraft:1.0.${digit}-cpu-00000000@${digest}`, ...change });
};
const file = (digit: string) => renderCompose(release(digit), settings);
const image = (digit: string) => release(digit).imageRef;

describe("the Compose file of a release", () => {
  const { services, volumes, name } = file("1");

  test("is pinned by digest and locked down", () => {
    expect(name).toBe("facecraft");
    expect(services[service]).toMatchObject({
      image: image("1"),
      ports: ["127.0.0.1:8080:8000"],
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      healthcheck: { interval: "30s", timeout: "10s", start_period: "180s", retries: 3 },
      volumes: ["uploads:/app/uploads", "processed:/app/processed", "logs:/app/logs"],
      environment: { FACECRAFT_WORKERS: "2" },
    });
    expect(Object.keys(volumes)).toEqual(["uploads", "processed", "logs"]);
    expect(services[service]).not.toHaveProperty("deploy");
  });

  test("reserves GPUs for a gpu image", () => {
    const devices = (gpus: number) =>
      renderCompose(release("1", { variant: "gpu" }), { ...settings, gpus }).services[service]?.deploy;
    const reserved = (count: number | string) => ({
      resources: { reservations: { devices: [{ driver: "nvidia", count, capabilities: ["gpu"] }] } },
    });
    expect(devices(2)).toEqual(reserved(2));
    expect(devices(0)).toEqual(reserved("all"));
  });

  test("of a trial takes no port, and nothing of the one that serves", () => {
    const trial = asTrial(file("1"));
    expect(trial.name).toBe("facecraft-trial");
    expect(trial.services[service]).not.toHaveProperty("ports");
    expect(trial.services[service]).toMatchObject({ image: image("1"), restart: "no", read_only: true });
  });
});

/** A Docker host in memory, on which some images never get healthy at some places. */
class FakeHost implements Host {
  readonly done: string[] = [];
  readonly serving = new Map<string, ComposeFile>();
  readonly sick: readonly string[];
  constructor(...sick: string[]) {
    this.sick = sick;
  }
  async running(project: string) {
    return this.serving.get(project);
  }
  async up(file: ComposeFile) {
    const { image } = file.services[service] as { image: string };
    this.done.push(`up ${file.name} ${/1\.0\.(\d)/.exec(image)?.[1]}`);
    this.serving.set(file.name, file);
    if (this.sick.includes(`${file.name} ${image}`)) {
      throw new Error("container is unhealthy");
    }
  }
  async down(project: string) {
    this.done.push(`down ${project}`);
    this.serving.delete(project);
  }
  async logs() {
    return "Traceback\nKeyError: 'models'";
  }
  get image() {
    return this.serving.get("facecraft")?.services[service]?.image;
  }
}

async function attempt(host: FakeHost, digit: string, trial = true): Promise<string> {
  return rollOut({ file: file(digit), seconds: 60, secondsBack: 300, trial }, host).then(
    () => "done",
    (error) => error.message,
  );
}

describe("a rollout", () => {
  test("starts the first release at its place", async () => {
    const host = new FakeHost();
    expect(await attempt(host, "1")).toBe("done");
    expect(host.done).toEqual(["up facecraft 1"]);
  });

  test("proves the next release beside the one that serves, then replaces it", async () => {
    const host = new FakeHost();
    await attempt(host, "1");
    expect(await attempt(host, "2")).toBe("done");
    expect(host.done.slice(1)).toEqual(["up facecraft-trial 2", "down facecraft-trial", "up facecraft 2"]);
    expect(host.image).toBe(image("2"));
  });

  test("never touches the release that serves when the next one does not get ready", async () => {
    const host = new FakeHost(`facecraft-trial ${image("2")}`);
    await attempt(host, "1");
    const failure = await attempt(host, "2");
    expect(failure).toBe(
      `${image("2")} did not get healthy (it has 60 s): container is unhealthy. ${image("1")} still serves.\n` +
        "The end of its log:\n  Traceback\n  KeyError: 'models'",
    );
    expect(host.done.slice(1)).toEqual(["up facecraft-trial 2", "down facecraft-trial"]);
    expect(host.image).toBe(image("1"));
  });

  test("goes back when the next release fails at its place", async () => {
    const host = new FakeHost(`facecraft ${image("2")}`);
    await attempt(host, "1");
    const failure = await attempt(host, "2", false);
    expect(failure).toContain("KeyError: 'models'");
    expect(failure).toContain(`Rolled back: ${image("1")} serves again, in place of ${image("2")}.`);
    expect(host.done.slice(1)).toEqual(["up facecraft 2", "up facecraft 1"]);
  });

  test("says both when going back fails too", async () => {
    const host = new FakeHost(`facecraft ${image("2")}`);
    await attempt(host, "1");
    (host.sick as string[]).push(`facecraft ${image("1")}`);
    expect(await attempt(host, "2", false)).toContain(`Going back to ${image("1")} failed too: container is unhealthy`);
  });

  test("leaves nothing half-started when the first release does not get ready", async () => {
    const host = new FakeHost(`facecraft ${image("1")}`);
    expect(await attempt(host, "1")).toContain("No release ran before it, so none runs now.");
    expect(host.done).toEqual(["up facecraft 1", "down facecraft"]);
  });
});
