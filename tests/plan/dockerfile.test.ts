import { describe, expect, test } from "vitest";
import { parseHealthcheck, readDockerfile, variablesOf } from "../../plan/dockerfile.ts";
import { variantNames, variants } from "../../plan/variants.ts";

describe.each(variantNames)("the Dockerfile of %s", (name) => {
  const variant = variants[name];
  const { args, healthcheck } = readDockerfile(variant.dockerfile);

  test("builds by itself with the torch index of its variant", () => {
    expect(args.get("TORCH_INDEX_URL")).toBe(variant.torch.index);
    expect(args.get("TORCH_FLAVOUR")).toBe(variant.torch.flavour);
  });

  test("has an ARG for each of the variant's bases", () => {
    for (const arg of Object.values(variant.bases)) {
      expect(args.get(arg), arg).toBeTruthy();
    }
  });

  test("asks /ready, with the settings of the contract", () => {
    expect(healthcheck).toEqual({
      path: "/ready",
      port: 8000,
      interval: "30s",
      timeout: "10s",
      startPeriod: "180s",
      retries: 3,
    });
  });
});

describe("the health check of a Dockerfile", () => {
  const settings = "--interval=30s --timeout=10s --start-period=180s --retries=3";
  const dockerfile = [
    "ARG PORT=1",
    "FROM scratch AS base",
    "EXPOSE 9",
    "FROM base AS assembled",
    "ENV PORT=8000 \\",
    "    HEALTHCHECK_PATH=/ready",
    "EXPOSE ${PORT}",
    `HEALTHCHECK ${settings} \\`,
    '  CMD ["healthcheck"]',
    "FROM assembled AS release",
    "RUN <<'EOF'",
    'HEALTHCHECK CMD ["another"]',
    "EXPOSE 7",
    "EOF",
    "",
  ];
  const parse = (change: (line: string) => string = (line) => line) =>
    parseHealthcheck(dockerfile.map(change).join("\n"), "Dockerfile.x");
  const right = { path: "/ready", port: 8000, interval: "30s", timeout: "10s", startPeriod: "180s", retries: 3 };

  test("is read with the port and the path that its stage has, and not from what a step writes", () => {
    expect(parse()).toEqual(right);
    expect(parse((line) => line.replace("${PORT}", "8080/tcp"))).toEqual({ ...right, port: 8080 });
  });

  test.each([
    ["no health check", (line: string) => line.replace(/^HEALTHCHECK.*|^ {2}CMD.*/, "")],
    ["a health check that asks in another way", (line: string) => line.replace('["healthcheck"]', "curl localhost")],
    ["a health check that is turned off", (line: string) => line.replace(/^HEALTHCHECK.*/, "HEALTHCHECK NONE")],
    ["no port", (line: string) => line.replace(/^EXPOSE.*/, "")],
    ["no path", (line: string) => line.replace("HEALTHCHECK_PATH=", "OTHER=")],
    ["a path that is none", (line: string) => line.replace("/ready", "ready")],
    ["no interval", (line: string) => line.replace("--interval=30s ", "")],
    ["an interval that is none", (line: string) => line.replace("--interval=30s", "--interval=30")],
    ["no retries", (line: string) => line.replace("--retries=3", "")],
  ])("is refused where there is %s", (_what, change) => {
    expect(() => parse(change)).toThrow(
      'Dockerfile.x has no complete health check; it needs EXPOSE, ENV HEALTHCHECK_PATH, and HEALTHCHECK --interval, --timeout, --start-period, --retries CMD ["healthcheck"].',
    );
  });
});

test("the variables of the image are those of its last stage and of what that is made from, and no other stage's", () => {
  const text =
    "FROM x AS a\nENV A=1\nFROM a AS b\nENV B=1 C=2\nFROM a AS c\nENV D=1\nFROM b\nRUN true\nENV E=1 \\\n F=2\n";
  expect([...variablesOf(text)].sort()).toEqual(["A", "B", "C", "E", "F"]);
  expect(variablesOf("FROM a AS a\nENV A=1\n")).toEqual(new Set(["A"]));
  expect(variablesOf("")).toEqual(new Set());
});
