import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { downloadSecrets, splitCredential } from "../../plan/credentials.ts";

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;

describe("the credential of a URL", () => {
  test.each([
    ["https://u:p@h.example/a/f.pth", "https://h.example/a/f.pth", "u:p"],
    ["http://u:p%40%25@h:8080/f?v=1", "http://h:8080/f?v=1", "u:p@%"],
    ["https://only-a-user@h/f", "https://h/f", "only-a-user:"],
    ["https://u:100%@h/f", "https://h/f", "u:100%"],
  ])("of %s becomes a header, and the rest stays as it is written", (given, url, pair) => {
    expect(splitCredential("k", given)).toEqual({ url, authorization: basic(pair) });
  });

  test("is none where there is none", () => {
    expect(splitCredential("k", "https://h/f@2.pth?v=2")).toEqual({ url: "https://h/f@2.pth?v=2" });
  });

  test("can be a token beside it", () => {
    expect(splitCredential("k", "https://h/f", "t0k")).toEqual({ url: "https://h/f", authorization: "Bearer t0k" });
  });

  test("in the query cannot be taken out, and is not shown when it is refused", () => {
    const signed = () => splitCredential("models.u2net.urls[0]", "https://h/f.onnx?X-Amz-Signature=S3CRET&v=1");
    expect(signed).toThrow(
      /^facecraft:models\.u2net\.urls\[0\] is "https:\/\/h\/f\.onnx\?.*"; it must be .*a token beside the URL/,
    );
    expect(signed).not.toThrow("S3CRET");
  });

  test("is in no URL that is left, whatever the user and the password are", () => {
    const part = fc.string({ minLength: 6, maxLength: 30, unit: "binary-ascii" }).map((text) => `zq${text}`);
    fc.assert(
      fc.property(part, part, (user, password) => {
        const given = `https://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h.example/f`;
        expect(splitCredential("k", given)).toEqual({
          url: "https://h.example/f",
          authorization: basic(`${user}:${password}`),
        });
      }),
    );
  });
});

describe("the build's secrets", () => {
  const download = (key: string, url: string, token?: string) => ({ key, ...splitCredential(key, url, token) });

  test("are named for the host, without its port, and a token is handed over as it is written", () => {
    expect(
      downloadSecrets([
        download("a", "http://u:p@h:81/f"),
        download("b", "https://i/f", "t"),
        download("c", "https://j/f"),
      ]),
    ).toEqual({ HTTP_AUTH_HEADER_h: basic("u:p"), HTTP_AUTH_TOKEN_i: "t" });
  });

  test("are one for a host, so two credentials for it are refused by their keys", () => {
    const two = () => downloadSecrets([download("a", "https://u:p@h/f"), download("b", "https://h/g", "S3CRET")]);
    expect(two).toThrow(/^facecraft:b has another credential for h than facecraft:a;/);
    expect(two).not.toThrow("S3CRET");
    expect(() => downloadSecrets([download("a", "https://u:p@h/f"), download("b", "https://u:p@h/g")])).not.toThrow();
  });
});
