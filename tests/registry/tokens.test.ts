import { expect, test } from "vitest";
import { fetchToken, parseChallenge } from "../../registry/tokens.ts";

const patience = { silenceMs: 1000, answerMs: 5000, slowest: 1e6 };

test.each([
  [
    'Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"',
    { service: "a", scope: "repository:x:pull,push" },
  ],
  ['bearer  scope="s" , realm="https://a/token"', { scope: "s" }],
  ["Bearer realm=https://a/token,service=a", { service: "a" }],
  ['Basic realm="other", Bearer realm="https://a/token",service="a"', { service: "a" }],
  ['Bearer realm="https://a/token",service="a", Basic realm="other"', { service: "a" }],
  ['Bearer realm="https://a/token",service="say \\"a\\"",error="invalid_token"', { service: 'say "a"' }],
])("%s asks for a token", (header, expected) => {
  expect(parseChallenge(header)).toEqual({ realm: "https://a/token", ...expected });
});

test.each(["", "Basic", 'Basic realm="Bearer realm"', "Bearer", 'Bearer service="a"', 'BearerX realm="a"'])(
  "%j asks for no token",
  (header) => {
    expect(parseChallenge(header)).toBeUndefined();
  },
);

test("a token service without TLS gets no credentials, unless the registry has none either", async () => {
  const challenge = { realm: "http://user:hidden@tokens.example/token" };
  const login = { username: "u", password: "hidden" };
  const request = { challenge, login, path: "facecraft", plain: false, patience, hint: () => "" };
  await expect(fetchToken(request)).rejects.toThrow(
    "The token service tokens.example for facecraft is not encrypted; it gets no credentials.",
  );
  const gone = { realm: "http://user:hidden@localhost:1/token" };
  await expect(fetchToken({ ...request, challenge: gone, plain: true })).rejects.toThrow(
    "The token service localhost:1 cannot be reached: the connection was refused (ECONNREFUSED).",
  );
});
