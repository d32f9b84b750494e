import { expect, test } from "vitest";
import { pastProxies } from "../../local/pulumi.ts";

test("the services of this machine are asked past every proxy, and what the user excepts stays excepted", () => {
  const here = "localhost,127.0.0.1";
  expect(pastProxies({})).toEqual({ no_proxy: here, NO_PROXY: here });
  const both = `.corp.example,${here}`;
  expect(pastProxies({ NO_PROXY: ".corp.example" })).toEqual({ no_proxy: both, NO_PROXY: both });
  expect(pastProxies({ no_proxy: ".corp.example", NO_PROXY: "other" })).toEqual({ no_proxy: both, NO_PROXY: both });
});
