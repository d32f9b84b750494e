import { describe, expect, test } from "vitest";
import { noModel } from "../../artifacts/hint.ts";
import { noise } from "./server.ts";

const html = "it is an HTML page, perhaps of a login or an error";
const lfs = "it is a Git LFS pointer, not the file itself";

describe("no model", () => {
  test.each([
    ["\ufeff\r\n<!DOCTYPE html>", html],
    ["<!-- who made it -->\n<!-- and when --><HTML>", html],
    ["<!-- a long comment whose end is not among the first bytes", html],
    ["<head><title>Sign in", html],
    ["<script>location = '/login'</script>", html],
    ["\ufeffversion https://git-lfs.github.com/spec/v1\noid sha256:00", lfs],
    ["version https://hawser.github.com/spec/v1\noid sha256:00", lfs],
    ["<Error><Code>AccessDenied</Code></Error>", "it is an XML document, perhaps of an error"],
    ["[]", "it is a JSON document, perhaps of an error"],
    ["404 page not found\n", "it is text, perhaps of an error"],
    ["/annex/objects/SHA256E-s1234--00.pth", "it is text, perhaps of an error"],
    ["Größe unbekannt", "it is text, perhaps of an error"],
  ])("is what begins with %j", (start, why) => {
    expect(noModel(Buffer.from(start), {})).toBe(why);
  });

  test("is a page in another character set", () => {
    expect(noModel(Buffer.from("<html>G\xe9ant", "latin1"), {})).toBe(html);
  });

  test("is text whose last character is cut", () => {
    expect(noModel(Buffer.from("ä".repeat(300)).subarray(0, 511), {})).toBe("it is text, perhaps of an error");
  });

  test.each(["Text/HTML", " text/html;charset=x", "application/xhtml+xml"])("is what its server calls %s", (type) => {
    expect(noModel(noise(100), { contentType: type })).toBe(html);
  });
});

describe("a model", () => {
  test.each([
    ["of PyTorch", Buffer.from("PK\x03\x04")],
    ["of ONNX", Buffer.from([8, 7, 0x12, 7, ...Buffer.from("pytorch")])],
    ["of dlib", Buffer.from([1, 1, 1, 68, 0, 0])],
    ["compressed", Buffer.from("BZh91AY&SY\x01")],
    ["that holds text", Buffer.from("model\0\0\0")],
    ["of noise", noise(512)],
  ])("%s is taken for one", (_, start) => expect(noModel(start, {})).toBeUndefined());

  test("is one that its server calls not encoded", () => {
    expect(noModel(noise(100), { contentEncoding: "Identity" })).toBeUndefined();
  });
});
