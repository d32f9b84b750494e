import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArtifactError } from "../../artifacts/errors.ts";
import { urlFault } from "../../artifacts/pins.ts";
import { hasSecret, printable, quotable, quotedPair, redactUrl } from "../../artifacts/redact.ts";
import { SourceUrl } from "../../artifacts/url.ts";

// Wherever a secret may stand in a URL; each is one that a list of secret names would miss.
const secretive = [
  "https://bob:hidden@h/m.pth",
  "https://hidden@h/m.pth",
  "https://:hidden@h/m.pth",
  "https:bob:hidden@h/m.pth",
  "https:\\\\bob:hidden@h\\m.pth",
  "https://h/m.pth?token=hidden",
  "https://h/m.pth?token==hidden",
  "https://h/m.pth?token=a=hidden",
  "https://h/m.pth?hidden",
  "https://h/m.pth?hidden=1",
  "https://h/m.pth?v=1&hidden",
  ...["pass", "pw", "bearer", "sas", "cred", "assertion", "foo", "v", "ref", "expires", "X-Amz-Date"].map(
    (name) => `https://h/m.pth?${name}=hidden-1`,
  ),
  "https://h/m.pth?v=1;token=hidden",
  "https://h/m.pth;token=hidden",
  "https://h/m.pth;hidden",
  "https://h/a;x=hidden/m.pth",
  "https://h/token=hidden/m.pth",
  "https://h/m.pth?u=https://bob:hidden@x/y",
  "https://h/m.pth?u=https%3A%2F%2Fbob%3Ahidden%40x%2Fy",
  "https://h/https://bob:hidden@x/y",
  "https://h/https%3A%2F%2Fbob%3Ahidden%40x%2Fy",
  "https://h/https%253A%252F%252Fbob%253Ahidden%2540x%252Fy",
  "https://h/bob:hidden@x/y",
  "https://h/m.pth%3Ftoken%3Dhidden",
  "https://h/m.pth?%74oken=hidden",
  "https://h/m.pth#access_token=hidden",
  "ftp://bob:hidden@h/m.pth",
  "s3://bob:hidden@h/m.pth?hidden",
  "bob:hidden@h/m.pth",
  "h/m.pth?token=hidden",
];

describe("a URL with a secret", () => {
  test.each(secretive)("%s never shows it, and is known to have one", (text) => {
    expect(redactUrl(text)).not.toContain("hidden");
    expect(hasSecret(text)).toBe(true);
    expect(urlFault(text) ?? "").not.toContain("hidden");
  });

  test.each(secretive.filter((text) => URL.canParse(text) && text.includes("//")))(
    "%s, as the engine holds it, cannot be printed in any way",
    (text) => {
      const url = SourceUrl.parse(text);
      const nested = { url, list: [url] };
      const shown = [
        `${url}`,
        String(url),
        url.toString(),
        JSON.stringify(nested),
        inspect(nested, { depth: 9, showHidden: true, getters: true }),
        inspect(new Error("x", { cause: url })),
        new ArtifactError("refused", `it ${url} and even ${text} is refused`).message,
        Object.keys(url).join(),
      ];
      for (const one of shown) {
        expect(one).not.toContain("hidden");
      }
    },
  );

  test("is revealed only by the method of that name, with its user apart", () => {
    const url = SourceUrl.parse("https://bob:p%40ss@h/m.pth?token=x");
    expect(url.revealed().url.href).toBe("https://h/m.pth?token=x");
    expect(url.revealed().authorization).toBe(`Basic ${btoa("bob:p@ss")}`);
    expect(SourceUrl.parse("https://h/m").revealed().authorization).toBeUndefined();
  });
});

test("a token goes to the host of the first mirror only, is sent without encryption nowhere else, and is never shown", () => {
  const all = ["https://bob:word@h/m", "https://h/n", "http://h/m", "https://other/m", "https://h:444/m", "file:///m"];
  const tokens = all.map((url) => SourceUrl.mirror(url, all, "hidden").revealed().authorization);
  expect(tokens).toEqual(["Bearer hidden", "Bearer hidden", undefined, undefined, undefined, undefined]);
  expect(SourceUrl.mirror("http://h/m", ["http://h/m"], "hidden").revealed().authorization).toBe("Bearer hidden");
  const url = SourceUrl.mirror("https://h/m", all, "hidden");
  expect([`${url}`, inspect(url, { showHidden: true }), JSON.stringify(url)].join()).not.toContain("hidden");
});

describe("a URL without one", () => {
  test.each([
    "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
    "http://dlib.net/files/shape_predictor_68_face_landmarks.dat.bz2",
    "https://h:8443/a/b-c_d.e~f/@scope/pkg@1.2.3/m.pth",
    "https://h/v2/models/blobs/sha256:00ff",
    "https://h/m.pth?download=true&v=1.2.3&raw=1&ref=main",
    "https://h/get?file=models/m.pth&alt=media",
    "https://h/dt=20260101/m.pth",
    "https://h/a%20b/m.pth",
    "file:///srv/models/m.pth",
    "git://h/r.git",
  ])("%s is shown as it is", (text) => {
    expect(redactUrl(text)).toBe(text);
    expect(hasSecret(text)).toBe(false);
  });

  test.each([
    "https://github.com/djok/facecraft#798d2120000000000000000000000000000000aa",
    "docker.io/library/python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7",
    "python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7",
    "localhost:5000/repo:tag",
    "mailto:bob@example.org",
    "a sentence: with a colon and an @ in it?",
    "",
  ])("(%s) is not taken for a secret", (text) => expect(hasSecret(text)).toBe(false));
});

test("what a signed URL is about stays visible: who signed, when, and for how long", () => {
  expect(
    redactUrl("https://h/m?X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&X-Amz-Signature=abc&X-Amz-Credential=d"),
  ).toBe("https://h/m?X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&X-Amz-Signature=***&X-Amz-Credential=***");
});

test("a secret made of anything, put anywhere, is never shown, and redacting twice changes nothing", () => {
  const secret = fc.stringMatching(/^[A-Z][A-Za-z0-9]{9,20}$/);
  const name = fc.stringMatching(/^[A-Za-z_-]{1,12}$/);
  const place = fc.constantFrom<(secret: string, name: string) => string>(
    (s) => `https://u:${s}@h/m.pth`,
    (s) => `https://${s}@h/m.pth`,
    (s, n) => `https://h/m.pth?${n}=${s}`,
    (s, n) => `https://h/m.pth?a=b&${n}==${s}&c`,
    (s, n) => `https://h/m.pth?${n}=x:${s}@y`,
    (s) => `https://h/m.pth?${s}`,
    (s, n) => `https://h/m.pth?${s}=${n}`,
    (s, n) => `https://h/m.pth;${n}=${s}?v=1`,
    (s, n) => `https://h/${n}:${s}@x/m.pth`,
    (s, n) => `https://h/m.pth?u=${encodeURIComponent(`https://${n}:${s}@x`)}`,
    (s, n) => `${n}:${s}@h/m.pth`,
  );
  fc.assert(
    fc.property(secret, name, place, (s, n, put) => {
      const text = put(s, n);
      const shown = redactUrl(text);
      expect(shown).not.toContain(s);
      expect(printable(`it came from ${text}, because`)).not.toContain(text.includes("://") ? s : "\0");
      if (!shown.includes("(not a valid URL)")) {
        expect(redactUrl(shown)).toBe(shown);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  "https://h/m\r\n.pth",
  "https://h/m\n.pth",
  "https://h/m\t.pth",
  " https://h/m.pth",
  "https://h/m.pth ",
  "https://h/m\u0000.pth",
  "https://h/a b.pth",
])("a URL with white space or a control character in it (%j) is refused, not silently another one", (text) => {
  expect(urlFault(text)).toContain("has a space, a line break or another control character in it");
});

test.each([".zip", ".7z", ".lz4", ".lzma", ".br", ".rar", ".Z"])(
  "a file packed as %s is refused by its name",
  (suffix) => {
    expect(urlFault(`https://h/m.pth${suffix}?v=1`)).toBe(
      `"https://h/m.pth${suffix}?v=1" is packed as ${suffix}, but only .bz2, .gz, .xz and .zst can be decompressed`,
    );
  },
);

test("text of any origin is printable: no control characters, no text that runs backwards", () => {
  expect(printable("a\u001b[31mred\u0007\r\nb\u009b2J\u202eltr")).toBe("a [31mred b 2J ltr");
  expect(printable("see https://h/a, https://, http:// or file:// (http://host:port).")).toBe(
    "see https://h/a, https://, http:// or file:// (http://host:port).",
  );
});

test("values are quoted when they are known to be harmless", () => {
  expect(["0".repeat(64), "v1.2", "none", "", `${"$"}{A}`].map(quotable)).toEqual([
    `"${"0".repeat(64)}"`,
    '"v1.2"',
    '"none"',
    '""',
    `"${"$"}{A}"`,
  ]);
  expect(quotable("hunter2!")).toBe('"***"');
  expect(quotable("https://h/m?token=x")).toBe('"https://h/m?token=***"');
  expect(quotedPair("https://a:1@h/m", "https://a:2@h/m")).toBe(
    '"https://***@h/m" and "https://***@h/m", which differ in what is not shown',
  );
});

test("an error never carries along what another library threw, for that may repeat a URL", () => {
  const error = new ArtifactError("unreachable", "x\u001b[2Jy https://bob:hidden@h/m");
  expect(error.message).toBe("x [2Jy https://***@h/m");
  expect(inspect(error, { showHidden: true })).not.toContain("hidden");
});
