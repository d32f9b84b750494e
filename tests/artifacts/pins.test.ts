import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSha256, patchArgs, readArgs, sha256Fault, urlFault } from "../../artifacts/pins.ts";
import { hasSecret, redactUrl } from "../../artifacts/redact.ts";

const hex = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF"), minLength: 64, maxLength: 64 });
const word = fc.stringMatching(/^[A-Za-z0-9]{6,20}$/);

describe("a pin", () => {
  test("is exactly 64 hexadecimal digits, in any case, with or without its algorithm in front", () => {
    fc.assert(
      fc.property(hex, fc.constantFrom("", "sha256:"), (digits, prefix) => {
        expect(parseSha256(prefix + digits)).toBe(digits.toLowerCase());
      }),
    );
  });

  test("is nothing else, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fc.string(),
          hex.map((digits) => digits.slice(1)),
          hex.map((digits) => `${digits}0`),
        ),
        (value) => {
          fc.pre(!(typeof value === "string" && /^(sha256:)?[0-9a-f]{64}$/i.test(value)));
          expect(sha256Fault(value)).toContain("64 hexadecimal digits");
          expect(() => parseSha256(value)).toThrow("64 hexadecimal digits");
        },
      ),
    );
  });
});

describe("a URL", () => {
  test.each([
    ["https://github.com/a/b.pth"],
    ["http://dlib.net/files/a.dat.bz2"],
    ["file:///srv/models/a.pth"],
    ["https://user:word@h/a.pth?token=x"],
  ])("%s is fine", (url) => expect(urlFault(url)).toBeUndefined());

  test.each([
    ["", "a URL is missing"],
    [undefined, "a URL is missing"],
    ["models/a.pth", "cannot be read as a URL"],
    ["ftp://h/a.pth", "only https://, http:// and file:// are supported"],
    ["javascript:alert(1)", "cannot be read as a URL"],
    ["file://server/share/a.pth", "a local file is file:///path"],
    ["https://h/", "names a folder"],
    ["https://h/models/", "names a folder"],
  ])("%s is refused", (url, fault) => expect(urlFault(url)).toContain(fault));

  test("never shows its password or its tokens, and redacting is the same twice", () => {
    const secretName = fc.constantFrom(
      "token",
      "access_token",
      "X-Amz-Signature",
      "sig",
      "api_key",
      "X-Amz-Security-Token",
      "Password",
    );
    fc.assert(
      fc.property(word, word, secretName, word, (user, password, name, value) => {
        const url = `https://${user}:${password}@host.example/files/m.pth?v=1&${name}=${value}`;
        const shown = redactUrl(url);
        expect(shown).toBe(`https://***@host.example/files/m.pth?v=1&${name}=***`);
        expect(hasSecret(url)).toBe(true);
        expect(redactUrl(shown)).toBe(shown);
      }),
    );
  });

  test("never shows a secret even when it cannot be parsed, and redacting never throws", () => {
    expect(redactUrl("https://user:hidden@:bad:port/x")).not.toContain("hidden");
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true })), (url) => void redactUrl(url)),
    );
  });

  test("without secrets is shown as it is", () => {
    fc.assert(
      fc.property(fc.webUrl(), (url) => {
        fc.pre(!hasSecret(url));
        expect(redactUrl(url)).toBe(new URL(url).href);
      }),
    );
  });
});

describe("the ARGs of a Dockerfile", () => {
  const dockerfile = [
    "# syntax=docker/dockerfile:1",
    "ARG CODEFORMER_URL=https://h/codeformer.pth  ",
    'ARG QUOTED="a b"',
    "FROM scratch AS codeformer",
    "ARG CODEFORMER_URL",
    "  arg CODEFORMER_SHA256=old\r",
    "# ARG CODEFORMER_SHA256=comment",
    "RUN echo \\",
    "ARG CODEFORMER_SHA256=continued",
    "RUN <<EOF",
    "ARG CODEFORMER_SHA256=heredoc",
    "EOF",
    "ARG CODEFORMER_SHA256=old",
    "",
  ].join("\n");

  test("are read as Docker reads them: not in comments, continuations and here-documents", () => {
    expect(Object.fromEntries(readArgs(dockerfile))).toEqual({
      CODEFORMER_URL: "https://h/codeformer.pth",
      QUOTED: "a b",
      CODEFORMER_SHA256: "old",
    });
  });

  test("are patched in every stage, and nothing else is", () => {
    expect(patchArgs(dockerfile, { CODEFORMER_SHA256: "new" })).toBe(dockerfile.replaceAll("SHA256=old", "SHA256=new"));
  });

  test("must agree where they stand twice", () => {
    expect(() => readArgs("ARG A=1\nARG A=2\n")).toThrow('ARG A has two values in one Dockerfile: "1" and "2"');
  });

  test("must be there to be patched", () => {
    expect(() => patchArgs("ARG A\nARG B=1\n", { A: "x" })).toThrow('no line "ARG A=..." to patch');
    expect(() => patchArgs("ARG A=1\n", { A: "x\nRUN evil" })).toThrow("cannot be the value");
  });

  test("are the only bytes that a patch changes, in any text at all", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "ARG PIN=aaa",
        'ARG PIN="aaa"',
        "\tARG PIN=aaa \r",
        "RUN x \\",
        "RUN <<EOF",
        "EOF",
        "# c",
        "ARG OTHER=1",
        "ARG PIN",
      ),
    );
    fc.assert(
      fc.property(fc.array(line), fc.stringMatching(/^[0-9a-f]{1,64}$/), (lines, value) => {
        const text = lines.join("\n");
        let patched: string;
        try {
          patched = patchArgs(text, { PIN: value });
        } catch (error) {
          expect(String(error)).toContain('no line "ARG PIN=..." to patch');
          return;
        }
        const before = text.split("\n");
        const after = patched.split("\n");
        expect(after.length).toBe(before.length);
        after.forEach((now, i) => {
          const was = before[i]!;
          if (now === was) {
            return;
          }
          const pattern = /^([ \t]*ARG[ \t]+PIN=["']?)[^"'\s]*(["']?[ \t]*\r?)$/i;
          expect(was).toMatch(pattern);
          expect(now).toBe(was.replace(pattern, `$1${value}$2`));
        });
        expect(patchArgs(patched, { PIN: value })).toBe(patched);
        expect(readArgs(patched).get("PIN")).toBe(value);
      }),
      { numRuns: 500 },
    );
  });
});
