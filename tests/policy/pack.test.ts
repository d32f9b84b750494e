import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import structs from "google-protobuf/google/protobuf/struct_pb.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { models } from "../../plan/models.ts";
import { unknownSentinels } from "../../reports/preview/marks.ts";
import { accepted, pin } from "./accepted.ts";

// The engine's part of the conversation with the pack, played here: it asks about each resource as that arrives, and about
// the whole stack at the end.
const require = createRequire(import.meta.url);
const { AnalyzerClient } = require("@pulumi/pulumi/proto/analyzer_grpc_pb.js");
const messages = require("@pulumi/pulumi/proto/analyzer_pb.js");

interface Resource {
  urn: string;
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  dependencies: Resource[];
}

let pack: ChildProcess;
let client: { [method: string]: (request: unknown, done: (error: Error | null, response: Answer) => void) => void };

interface Answer {
  getDiagnosticsList(): { getPolicyname(): string; getMessage(): string; getUrn(): string }[];
}

// The engine starts a pack for each preview and each update.
async function start(env: NodeJS.ProcessEnv = {}): Promise<void> {
  pack = spawn(process.execPath, [join(import.meta.dirname, "../../policy/index.ts"), "127.0.0.1:1"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const [port] = await once(pack.stdout as NodeJS.ReadableStream, "data");
  client = new AnalyzerClient(`127.0.0.1:${String(port).trim()}`, credentials.createInsecure());
}
beforeEach(() => start());
afterEach(() => pack.kill());

function resource(type: string, name: string, inputs: object, dependencies: Resource[] = []): Resource {
  const urn = `urn:pulumi:stack::facecraft::${type}::${name}`;
  return { urn, type, name, inputs: inputs as Record<string, unknown>, dependencies };
}
const model = (name: string, sha256 = pin) =>
  resource("pulumi-nodejs:dynamic/facecraft:ModelChecksum", name, { sha256, file: `/${name}` });
const image = (name: string, inputs: object, dependencies: Resource[] = []) =>
  resource("docker-build:index:Image", name, inputs, dependencies);
const allModels = () => Object.keys(models).map((name) => model(name));
const proof = (dependencies?: Resource[]) =>
  image("proof", { ...accepted, tags: [], labels: {}, exports: [{ cacheonly: {} }] }, dependencies);
const release = (dependencies?: Resource[]) => image("release", accepted, dependencies);

function ask(method: string, request: unknown): Promise<string[]> {
  return new Promise((resolve, reject) => {
    client[method]?.(request, (error, response) => {
      if (error) {
        reject(error);
      } else {
        resolve(response.getDiagnosticsList().map((said) => `${said.getPolicyname()}: ${said.getMessage()}`));
      }
    });
  });
}

function describeTo<Request extends { [setter: string]: (value: unknown) => unknown }>(
  request: Request,
  { urn, type, name, inputs }: Resource,
): Request {
  request.setUrn?.(urn);
  request.setType?.(type);
  request.setName?.(name);
  const options = new messages.AnalyzerResourceOptions();
  options.setCustomtimeouts(new messages.AnalyzerResourceOptions.CustomTimeouts());
  request.setOptions?.(options);
  request.setProperties?.(structs.Struct.fromJavaScript(inputs as Record<string, structs.JavaScriptValue>));
  return request;
}

/** Lets the resources arrive in this order. @returns what was said of each as it arrived, and of the whole stack */
async function deploy(...resources: Resource[]): Promise<{ arriving: string[]; atEnd: string[] }> {
  const arriving: string[] = [];
  for (const arrived of resources) {
    arriving.push(...(await ask("analyze", describeTo(new messages.AnalyzeRequest(), arrived))));
  }
  const request = new messages.AnalyzeStackRequest();
  request.setResourcesList(
    resources.map((known) => {
      const described = describeTo(new messages.AnalyzerResource(), known);
      described.setDependenciesList(known.dependencies.map(({ urn }) => urn));
      return described;
    }),
  );
  return { arriving, atEnd: await ask("analyzeStack", request) };
}

describe("the policy pack", () => {
  const nothing = { arriving: [], atEnd: [] };

  test("accepts a proof that arrives before the models are known", async () => {
    const verified = allModels();
    const proven = proof();
    expect(await deploy(proven, ...verified, release([proven, ...verified]))).toEqual(nothing);
  });

  test("accepts a proof that arrives after the models, or between them", async () => {
    const [first, ...rest] = allModels() as [Resource, ...Resource[]];
    const proven = proof();
    expect(await deploy(first, proven, ...rest, release([proven, first, ...rest]))).toEqual(nothing);
    expect(await deploy(first, ...rest, proven, release([proven, first, ...rest]))).toEqual(nothing);
  });

  test("accepts a release that waits for the models through its proof", async () => {
    const verified = allModels();
    const proven = proof(verified);
    expect(await deploy(...verified, proven, release([proven]))).toEqual(nothing);
  });

  test("refuses a release before it is made when its models are verified later", async () => {
    const { arriving } = await deploy(release(), ...allModels());
    expect(arriving).toHaveLength(Object.keys(models).length);
    expect(arriving[0]).toMatch(/^verified-models: .*Nothing verifies shape predictor/s);
  });

  test("refuses a release that does not wait for a model, although the model happened to arrive first", async () => {
    const [first, ...rest] = allModels() as [Resource, ...Resource[]];
    const { arriving, atEnd } = await deploy(first, ...rest, release(rest));
    expect(arriving).toEqual([]);
    expect(atEnd).toEqual([expect.stringMatching(/^verified-models: .*It does not wait until shape predictor is/s)]);
  });

  test.each(["before", "after"])("refuses a proof of another pin that arrives %s the models", async (when) => {
    const verified = allModels();
    const inputs = {
      ...accepted,
      tags: [],
      exports: [],
      buildArgs: { ...accepted.buildArgs, U2NET_SHA256: "d".repeat(64) },
    };
    const proven = image("proof", inputs);
    const order = when === "before" ? [proven, ...verified] : [...verified, proven];
    const { arriving, atEnd } = await deploy(...order);
    expect(arriving).toEqual([]);
    expect(atEnd).toEqual([expect.stringMatching(/^verified-models: .*U2NET_SHA256 is "d{64}"/s)]);
  });

  test("refuses a proof of a model that nothing verifies", async () => {
    const { atEnd } = await deploy(proof(), ...allModels().slice(1));
    expect(atEnd).toEqual([
      expect.stringMatching(/^verified-models: .*the stack has no ModelChecksum "shapePredictor"/s),
    ]);
  });

  describe("that bounds the time until a release is ready", () => {
    const published = (stdout?: string) =>
      resource("command:local:Command", "facecraft-published", {
        create: "node",
        ...(stdout !== undefined && { stdout }),
      });
    const readyAfter = (readySeconds: number) => published(JSON.stringify({ proof: { readySeconds } }));
    const judged = async (command: Resource, env: NodeJS.ProcessEnv) => {
      pack.kill();
      await start(env);
      const verified = allModels();
      return deploy(...verified, release(verified), command);
    };
    const bound = { FACECRAFT_MAX_READY_SECONDS: "2" };

    test("judges what was read from the published image, when the whole stack is known", async () => {
      expect(await judged(readyAfter(2.5), bound)).toEqual({
        arriving: [],
        atEnd: [expect.stringMatching(/^ready-in-time: .*ready after 2\.5 s, and maxReadySeconds is 2/s)],
      });
      expect(await judged(readyAfter(2), bound)).toEqual(nothing);
      expect(await judged(readyAfter(2.5), {})).toEqual(nothing);
    });

    test.each([
      ["what a preview does not know yet", unknownSentinels.UnknownStringValue],
      ["what an earlier version said", '{"torch":"2.0.1+cpu","boot":"passed"}'],
      ["nothing", ""],
      ["no output", undefined],
    ])("does not judge %s", async (_what, stdout) => {
      expect(await judged(published(stdout), bound)).toEqual(nothing);
    });
  });
});
