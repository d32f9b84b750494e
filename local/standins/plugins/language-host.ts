// Stand-in for `pulumi-language-nodejs`: runs a TypeScript program with Pulumi's own runner, in Node.js itself.
// What it lacks (code generation, dependency listings, debugging) it answers with UNIMPLEMENTED.
import "./endWithEngine.ts";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import type * as languageMessages from "@pulumi/pulumi/proto/language_pb.js";

const require = createRequire(import.meta.url);
const { LanguageRuntimeService } = require("@pulumi/pulumi/proto/language_grpc_pb.js");
const language: typeof languageMessages = require("@pulumi/pulumi/proto/language_pb.js");
const plugin = require("@pulumi/pulumi/proto/plugin_pb.js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb.js");

type Unary<Request, Response> = grpc.handleUnaryCall<Request, Response>;
const runner = require.resolve("@pulumi/pulumi/cmd/run");
// The runner ends with this code when it has already shown the error to the user.
const alreadyReported = 32;
let engine = process.argv.slice(2).find((argument) => !argument.startsWith("-")) ?? "";

const handshake: Unary<languageMessages.LanguageHandshakeRequest, languageMessages.LanguageHandshakeResponse> = (
  call,
  answer,
) => {
  engine = call.request.getEngineAddress();
  answer(null, new language.LanguageHandshakeResponse());
};

const run: Unary<languageMessages.RunRequest, languageMessages.RunResponse> = (call, answer) => {
  const request = call.request;
  const info = request.getInfo();
  const directory = info?.getProgramDirectory() ?? request.getPwd();
  const flags = {
    monitor: request.getMonitorAddress(),
    engine,
    project: request.getProject(),
    stack: request.getStack(),
    pwd: request.getPwd(),
    parallel: String(request.getParallel()),
    organization: request.getOrganization(),
    "root-directory": info?.getRootDirectory() ?? directory,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => (value ? [`--${name}`, value] : []));
  if (request.getDryrun()) {
    args.push("--dry-run");
  }
  const program = join(directory, info?.getEntryPoint() || ".");
  const child = spawn(process.execPath, [runner, ...args, program], {
    cwd: request.getPwd(),
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...process.env,
      PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().entries())),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    },
  });
  child.on("error", (error) => answer(error));
  child.on("close", (code) => {
    const response = new language.RunResponse();
    if (code === alreadyReported) {
      response.setBail(true);
    } else if (code !== 0) {
      response.setError(`the program ended with exit code ${code}`);
    }
    answer(null, response);
  });
};

const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
server.addService(LanguageRuntimeService, {
  handshake,
  run,
  getPluginInfo: ((_, answer) => {
    const info = new plugin.PluginInfo();
    info.setVersion("0.0.0");
    answer(null, info);
  }) satisfies Unary<unknown, unknown>,
  // Providers are named, with their versions, by the resources that need them.
  getRequiredPlugins: ((_, answer) => answer(null, new language.GetRequiredPluginsResponse())) satisfies Unary<
    unknown,
    unknown
  >,
  cancel: ((_, answer) => answer(null, new Empty())) satisfies Unary<unknown, unknown>,
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    throw error;
  }
  console.log(port);
});
