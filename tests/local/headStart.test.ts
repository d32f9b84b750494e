import { expect, test } from "vitest";
import { buildctlArgs } from "../../local/headStart.ts";

const asked = {
  dockerfile: { location: "docker/Dockerfile.cpu" },
  context: {
    location: "docker",
    named: { app: { location: "https://example.com/app.git#0123" }, scripts: { location: "/tmp/scripts" } },
  },
  buildArgs: { TORCH: "2.0.1", EMPTY: "" },
  platforms: ["linux/amd64"],
  target: "proof",
  secrets: { ca_bundle: "a certificate" },
};

test("a build is asked for as docker-build asks for it, and a secret stays out of the command", () => {
  const args = buildctlArgs(asked, "/clone", (id) => `/private/${id}`);
  const pairs = args
    .slice(args.indexOf("plain") + 1)
    .flatMap((flag, at, all) => (at % 2 ? [] : [`${flag} ${all[at + 1]}`]));
  expect(pairs).toEqual([
    "--local context=/clone/docker",
    "--local dockerfile=/clone/docker",
    "--local scripts=/tmp/scripts",
    "--opt filename=Dockerfile.cpu",
    "--opt target=proof",
    "--opt platform=linux/amd64",
    "--opt context:app=https://example.com/app.git#0123",
    "--opt context:scripts=local:scripts",
    "--opt build-arg:TORCH=2.0.1",
    "--opt build-arg:EMPTY=",
    "--secret id=ca_bundle,src=/private/ca_bundle",
  ]);
  expect(args.join(" ")).not.toContain("a certificate");
});
