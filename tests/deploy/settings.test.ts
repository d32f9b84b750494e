import { describe, expect, test } from "vitest";
import * as compose from "../../deploy/compose/settings.ts";
import * as kubernetes from "../../deploy/kubernetes/settings.ts";

const from = "organization/facecraft/cpu";

function problems(parse: typeof compose.parseSettings | typeof kubernetes.parseSettings, change: object): string[] {
  try {
    parse({ values: { from, ...change }, isSecret: () => false });
    return [];
  } catch (error) {
    return (error as Error).message.split("\n");
  }
}

describe("the settings of a Docker host", () => {
  test("are typed, with defaults", () => {
    const values = { from, port: "8080", trial: "false", dockerHost: "", environment: '{"FACECRAFT_WORKERS":2}' };
    expect(compose.parseSettings({ values, isSecret: () => false })).toEqual({
      from,
      require: [],
      project: "facecraft",
      address: "127.0.0.1",
      port: 8080,
      memory: "4g",
      cpus: 2,
      gpus: 1,
      environment: { FACECRAFT_WORKERS: "2" },
      readyWithin: 0,
      trial: false,
    });
  });

  test("that are wrong are told all at once, with what would be right", () => {
    const wrong = {
      from: "cpu",
      imageRef: "facecraft:cpu",
      project: "Face Craft",
      dockerHost: "server",
      memory: "lots",
    };
    expect(problems(compose.parseSettings, { ...wrong, port: "0" }).map((problem) => problem.split(" ")[0])).toEqual(
      ["from", "imageRef", "project", "dockerHost", "port", "memory"].map((key) => `facecraft-deploy:${key}`),
    );
  });

  test.each([
    [{ port: "http" }, 'facecraft-deploy:port is "http"; it must be a port from 1 to 65535.'],
    [{ port: "65536" }, "facecraft-deploy:port is 65536; it must be a port from 1 to 65535."],
    [{ cpus: "0.5" }, /cpus is "0\.5"; it must be a number of CPUs/],
    [{ cpus: "1e400" }, /cpus is "1e400"/],
    [{ memory: "0g" }, /memory is "0g"; it must be an amount such as 4g/],
    [{ address: "localhost" }, /address is "localhost"; it must be an IP address/],
    [{ address: "::1" }, /address is "::1"; it must be .*in brackets/],
    [
      { dockerHost: "ssh://deploy:hunter2@server" },
      /dockerHost is "ssh:\/\/\*\*\*@server"; it must be .*without a password/,
    ],
    [{ environment: '{"A B":"c"}' }, /environment is \[secret\] \(an object\); it must be an object of environment/],
    [{ environment: '{"KEY":["hunter2"]}' }, /environment\.KEY is \[secret\] \(a list\); it must be text/],
    [{ environment: '{"constructor":"x"}' }, /facecraft-deploy:environment is/],
    [{ environment: "hunter2" }, /environment is \[secret\] \(text\)/],
    [{ replicas: "2" }, /facecraft-deploy:replicas is not a config key; known are from, require, verify, imageRef/],
    [
      { require: '["portrait","gpus"]' },
      'facecraft-deploy:require is ["portrait","gpus"]; it must be a list of what must have been proven, each once: boot, ' +
        "portrait, models, network, gpu.",
    ],
    [{ require: '["gpu","gpu"]' }, /require is \["gpu","gpu"\]; it must be .*each once/],
    [{ require: "portrait" }, /require is "portrait"; it must be a list/],
  ])("are refused for %j", (change, sentence) => {
    const found = problems(compose.parseSettings, change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
    expect(found[0]).not.toContain("hunter2");
  });

  test.each([
    { address: "0.0.0.0" },
    { address: "[::1]" },
    { dockerHost: "unix:///var/run/docker.sock" },
    { dockerHost: "ssh://deploy@server:2222" },
    { dockerHost: "tcp://10.0.0.1:2376" },
    { memory: "512M" },
    { environment: "{}" },
    { require: '["gpu","portrait","models","network","boot"]' },
  ])("take %j", (change) => {
    expect(problems(compose.parseSettings, change)).toEqual([]);
  });
});

describe("the settings of a cluster", () => {
  test("are typed, with defaults", () => {
    expect(kubernetes.parseSettings({ values: { from, pullSecret: "" }, isSecret: () => false })).toEqual({
      from,
      require: [],
      namespace: "facecraft",
      replicas: 2,
      cpus: 2,
      memory: "4Gi",
      gpus: 1,
      scratch: "2Gi",
    });
  });

  test.each([
    [
      { from: "" },
      'facecraft-kubernetes:from is ""; it must be the full name of a stack, such as organization/facecraft/cpu.',
    ],
    [{ namespace: "Face_Craft" }, /namespace is "Face_Craft"; it must be a name/],
    [{ replicas: "0" }, /replicas is 0; it must be a number of pods from 1/],
    [{ replicas: "-1" }, /replicas is -1/],
    [{ memory: "4g" }, /memory is "4g"; it must be an amount such as 4Gi/],
    [{ memory: "4" }, /memory is "4"/],
    [{ memory: "0Gi" }, /memory is "0Gi"/],
    [{ memory: "4000m" }, /memory is "4000m"/],
    [{ scratch: "two" }, /scratch is "two"/],
    [{ gpus: "0" }, /gpus is 0/],
    [{ pullSecret: "My Secret" }, /pullSecret is "My Secret"; it must be the name/],
    [{ port: "80" }, /facecraft-kubernetes:port is not a config key; known are from, require, verify, namespace/],
    [{ require: '["speed"]' }, /facecraft-kubernetes:require is \["speed"\]; it must be a list/],
  ])("are refused for %j", (change, sentence) => {
    const found = problems(kubernetes.parseSettings, change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });

  test.each([{ memory: "0.5Gi" }, { memory: "500M" }, { namespace: "a" }, { pullSecret: "registry.example" }])(
    "take %j",
    (change) => {
      expect(problems(kubernetes.parseSettings, change)).toEqual([]);
    },
  );
});
