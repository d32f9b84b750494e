import fc from "fast-check";
import { expect, test } from "vitest";
import { saidIn } from "../../registry/refusal.ts";

test.each([
  ['{"errors":[{"code":"DENIED","message":"not allowed"}]}', "DENIED: not allowed"],
  ['{"errors":[{"code":"A"},{"message":"b."}]}', "A; b"],
  ['{"error":"invalid_grant","error_description":"too old"}', "invalid_grant: too old"],
  ['{"details":"incorrect username or password"}', "incorrect username or password"],
  ['{"message":"two\\nlines\\u0000 and\\u202e more"}', "two lines and more"],
  ['{"errors":[null,{"code":5,"message":{}}]}', ""],
  ["<html>no</html>", ""],
  ["null", ""],
  ["", ""],
])("of %s it is said %j", (body, said) => {
  expect(saidIn(body)).toBe(said);
});

test("whatever a body is, what is said of it is one short line without a secret", () => {
  const text = fc.string({ unit: "binary", maxLength: 500 });
  fc.assert(
    fc.property(text, text, fc.string({ minLength: 4 }), (before, after, secret) => {
      const message = before + secret + after + secret;
      for (const body of [
        message,
        JSON.stringify({ errors: [{ code: before, message }] }),
        JSON.stringify({ message }),
      ]) {
        expect(saidIn(body, ["", secret])).toMatch(/^\P{C}{0,303}$/u);
        expect(saidIn(body, ["", secret])).not.toContain(secret);
      }
    }),
  );
});
