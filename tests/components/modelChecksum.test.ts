import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { check, create, diff, type Inputs, read, type State, update } from "../../components/modelProvider.ts";
import { noise, serve, sha256, staticFile, temporaryFolder } from "../artifacts/server.ts";
import { stored } from "./stored.ts";

const body = noise(100_000);
const other = noise(90_000);
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

let warnings: string[];
beforeEach(() => {
  vi.stubEnv("FACECRAFT_CACHE", temporaryFolder());
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((text: string) => void warnings.push(text));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const inputs: Inputs = {
  title: "CodeFormer",
  urls: ["https://h/m.pth"],
  sha256: sha256(body),
  file: "/app/models/codeformer.pth",
};

async function created(handler = staticFile(body, '"v1"')) {
  const server = await serve(handler);
  const told = { ...inputs, urls: [`${server.url}/m.pth`] };
  const { id, outs } = await create(told);
  return { server, told, id, outs };
}

describe("check", () => {
  test("accepts a pin in any notation and passes it on in one", async () => {
    const news = { ...inputs, sha256: `sha256:${inputs.sha256.toUpperCase()}` };
    expect(await check({}, news)).toEqual({ inputs, failures: [] });
  });

  test("lets through what a preview does not know yet", async () => {
    const news = { ...inputs, sha256: unknown, urls: [unknown] };
    expect((await check({}, news)).failures).toEqual([]);
    expect((await check({}, { ...inputs, urls: unknown as unknown as string[] })).failures).toEqual([]);
  });

  test.each([
    [{ sha256: "" }, "sha256", "CodeFormer: the pin is empty, but a sha256 is 64 hexadecimal digits"],
    [{ sha256: "abc" }, "sha256", 'CodeFormer: the pin "abc" has 3 digits, but a sha256 is 64 hexadecimal digits'],
    [{ sha256: undefined }, "sha256", "CodeFormer: the pin is undefined, but a sha256 is 64 hexadecimal digits"],
    [{ urls: [] }, "urls", "CodeFormer: no URL is given; give at least one https:// URL"],
    [{ urls: ["https://h/a", "ftp://u:hidden@h/a"] }, "urls[1]", /"ftp:\/\/\*\*\*@h\/a" has the scheme ftp:/],
    [{ file: "models/a" }, "file", 'CodeFormer: "models/a" is not the absolute path of a file in the image'],
    [{ caBundle: 5 }, "caBundle", "CodeFormer: 5 is not the path of a PEM file"],
    [{ caBundle: "" }, "caBundle", 'CodeFormer: "" is not the path of a PEM file'],
  ])("refuses %j, naming the property", async (wrong, property, reason) => {
    const { failures } = await check({}, { ...inputs, ...wrong } as Inputs);
    expect(failures).toEqual([{ property, reason: expect.stringMatching(reason) }]);
  });

  test("tells everything that is wrong at once", async () => {
    const { failures } = await check({}, { ...inputs, sha256: "x", urls: ["a", "b"] });
    expect(failures.map(({ property }) => property)).toEqual(["sha256", "urls[0]", "urls[1]"]);
  });
});

describe("diff", () => {
  const state: State = { ...inputs, downloadSha256: "", sizeBytes: 1, url: "u", etag: "", lastModified: "", drift: "" };

  test("sees no change in outputs, in another CA path, or in code", async () => {
    expect(await diff("", state, { ...inputs, caBundle: "/elsewhere.pem" })).toEqual({ changes: false, replaces: [] });
  });

  test("updates in place for other mirrors or another pin, and replaces for another file", async () => {
    expect(await diff("", state, { ...inputs, urls: ["https://h2/m.pth"] })).toEqual({ changes: true, replaces: [] });
    expect(await diff("", state, { ...inputs, sha256: "0".repeat(64) })).toEqual({ changes: true, replaces: [] });
    expect(await diff("", state, { ...inputs, file: "/b" })).toEqual({ changes: true, replaces: ["file"] });
  });

  test("verifies again after a refresh that found drift", async () => {
    expect(await diff("", { ...state, drift: "upstream replaced it" }, inputs)).toEqual({
      changes: true,
      replaces: [],
    });
  });
});

describe("create and update", () => {
  test("report the verified file, with every output there is", async () => {
    const { server, told, id, outs } = await created();
    expect(id).toBe(inputs.file);
    expect(outs).toEqual({
      ...told,
      downloadSha256: sha256(body),
      sizeBytes: body.length,
      url: `${server.url}/m.pth`,
      etag: '"v1"',
      lastModified: "",
      drift: "",
    });
    expect((await update(id, { ...outs, drift: "before" }, told)).outs).toEqual(outs);
  });

  test("with a changed mirror list verify the new mirror and keep every output", async () => {
    const { id, outs } = await created();
    const mirror = await serve(staticFile(body, '"m1"'));
    const urls = [`${mirror.url}/m.pth`];
    const { outs: now } = await update(id, outs, { ...inputs, urls });
    expect(now).toEqual({ ...outs, urls, url: urls[0], etag: '"m1"' });
    const liar = await serve(staticFile(other));
    await expect(update(id, outs, { ...inputs, urls: [`${liar.url}/m.pth`] })).rejects.toThrow("wrong sha256");
  });

  test("say in the log what they wait for, every ten seconds", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const asked = Promise.withResolvers<void>();
    const server = await serve((request, response, count) => {
      asked.resolve();
      answer = () => staticFile(body)(request, response, count);
    });
    let answer = () => {};
    const creating = create({ ...inputs, urls: [`${server.url}/m.pth`] });
    await asked.promise;
    vi.advanceTimersByTime(25_000);
    vi.useRealTimers();
    answer();
    await creating;
    expect(warnings).toEqual(Array(2).fill(`CodeFormer: waiting for an answer from ${server.url}.`));
  });

  test("keep secrets of URLs out of every output", async () => {
    const server = await serve(staticFile(body));
    const url = `${server.url.replace("//", "//user:hidden1@")}/m.pth?token=hidden2`;
    const { outs } = await create({ ...inputs, urls: [url] });
    const { urls: _secretInput, ...shown } = outs;
    expect(JSON.stringify(shown)).not.toContain("hidden");
    await expect(create({ ...inputs, sha256: "0".repeat(64), urls: [url] })).rejects.toThrow(/^(?!.*hidden)/);
  });
});

describe("read", () => {
  test("of an unchanged upstream changes nothing and transfers nothing", async () => {
    const { server, id, outs } = await created();
    expect(await read(id, outs)).toEqual({ id, props: outs });
    expect(server.requests[1]?.headers["if-none-match"]).toBe('"v1"');
  });

  test("knows the version from the state alone, on a machine with an empty cache", async () => {
    const { server, id, outs } = await created();
    vi.stubEnv("FACECRAFT_CACHE", temporaryFolder());
    expect(await read(id, outs)).toEqual({ id, props: outs });
    expect(server.requests[1]?.headers["if-none-match"]).toBe('"v1"');
  });

  test("of a replaced file says so, with both hashes and the size", async () => {
    const { server, id, outs } = await created();
    server.answer(staticFile(other, '"v2"'));
    const drift =
      `CodeFormer: upstream replaced ${outs.url}: its sha256 is now ${sha256(other)} (90000 bytes), ` +
      `the pin is ${sha256(body)}`;
    expect(await read(id, outs)).toEqual({ id, props: { ...outs, drift } });
    expect(warnings).toEqual([`${drift}.`]);
  });

  test("of a file that was published anew with the same bytes only remembers the new ETag", async () => {
    const { server, id, outs } = await created();
    server.answer(staticFile(body, '"v2"'));
    expect(await read(id, outs)).toEqual({ id, props: { ...outs, etag: '"v2"' } });
  });

  test.each([404, 410])("of a file that is gone (%i) says so", async (status) => {
    const { server, id, outs } = await created();
    server.answer((_request, response) => response.writeHead(status).end());
    expect((await read(id, outs)).props.drift).toBe(`CodeFormer: upstream removed ${outs.url}`);
  });

  test.each([403, 500, 503])("of an upstream that answers %i changes nothing and warns", async (status) => {
    const { server, id, outs } = await created();
    server.answer((_request, response) => response.writeHead(status).end());
    expect(await read(id, outs)).toEqual({ id, props: outs });
    expect(warnings).toEqual([
      expect.stringMatching(new RegExp(`CodeFormer: .*${status}.*nothing is known about drift`)),
    ]);
  });

  test("of an upstream that is away keeps a drift that was found before", async () => {
    const { server, id, outs } = await created();
    await server.close();
    const state = { ...outs, drift: "CodeFormer: upstream removed it" };
    expect(await read(id, state)).toEqual({ id, props: state });
  });

  test("of a replaced file that a mirror still serves says both, and is no drift: an update goes on", async () => {
    const { server, id, outs } = await created();
    const mirror = await serve(staticFile(body));
    server.answer(staticFile(other, '"v2"'));
    const urls = [...outs.urls, `${mirror.url}/m.pth`];
    expect((await read(id, { ...outs, urls })).props.drift).toBe("");
    expect(warnings).toEqual([
      expect.stringMatching(new RegExp(`upstream replaced ${outs.url}: .*; ${mirror.url}/m.pth still serves it.$`)),
    ]);
    expect((await update(id, outs, { ...inputs, urls })).outs).toMatchObject({ url: urls[1], drift: "" });
  });

  test("clears a drift that is over", async () => {
    const { id, outs } = await created();
    expect(await read(id, { ...outs, drift: "before" })).toEqual({ id, props: outs });
  });
});

// What refresh calls drift is what stops an update, and nothing else is: whoever asks gets one answer.
describe("a file that upstream removed", () => {
  test("stops an update, though it is in the cache", async () => {
    const { server, id, told, outs } = await created();
    server.answer((_request, response) => response.writeHead(404).end());
    const { props } = await read(id, outs);
    expect(await diff(id, props, told)).toMatchObject({ changes: true });
    await expect(update(id, props, told)).rejects.toThrow(/m\.pth cannot be fetched: .*404.*; a verified copy/);
  });

  test("is still known to be gone after an update that could ask nobody", async () => {
    const { server, id, told, outs } = await created();
    await server.close();
    const drift = `CodeFormer: upstream removed ${outs.url}`;
    expect((await update(id, { ...outs, drift }, told)).outs.drift).toBe(drift);
  });
});

describe("what is stored in the state as the provider", () => {
  test("is small, and only names the module that does the work", () => {
    const { type, provider } = stored("./components/modelChecksum.ts", "ModelChecksum", "codeformer", inputs);
    expect(type).toBe("pulumi-nodejs:dynamic/facecraft:ModelChecksum");
    expect(provider.length).toBeLessThan(2048);
    expect(provider).toContain("/components/modelProvider.ts");
    expect(provider).not.toMatch(/sha256|drift|undici/);
  });
});
